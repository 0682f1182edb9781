package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/runpin/runpin/schema"
)

// Typical makes the nth of many runs as a team makes them: some images, commits and data sets that many runs share, params and metrics that
// they do not. The same n gives the same values. It gives the sample, what starts it and what ends it.
func Typical(n int) (a *Sample, started, ended []schema.Document) {
	a = NewSample(n)
	a.Plan.Name = ""
	a.Plan.Project, a.Plan.User = fmt.Sprint("project-", n%20), fmt.Sprint("user-", n%50)
	image := n / 500 // an image serves 500 runs
	a.Plan.Images[0].Ref = schema.Text(fmt.Sprintf("registry.example/team/trainer:%d", image))
	a.Plan.Images[0].Tag = fmt.Sprint(image)
	a.Plan.Images[0].IndexDigest, a.Plan.Images[0].PlatformDigest, a.Plan.Images[0].ConfigDigest = Digest(fmt.Sprint("i", image)), Digest(fmt.Sprint("p", image)), Digest(fmt.Sprint("c", image))
	commit := n / 20
	c := &a.Plan.Code[0]
	c.Commit, c.CommitTree, c.Tree = Object(fmt.Sprint("commit", commit)), Object(fmt.Sprint("tree", commit)), Object(fmt.Sprint("tree", commit))
	a.Plan.Datasets[0].ContentDigest = Digest(fmt.Sprint("data", n%300))
	r := rand.New(rand.NewPCG(uint64(n), 7))
	a.Plan.Params = map[string]schema.Text{"lr": schema.Text(fmt.Sprintf("%.6f", r.Float64())), "seed": schema.Text(fmt.Sprint(n)), "batch": schema.Text(fmt.Sprint(16 << (n % 5))), "model": schema.Text([]string{"resnet", "vit", "mlp"}[n%3])}
	started = []schema.Document{a.Base(), a.Label(0, "sweep", fmt.Sprint(n/100)), a.Running(0, &schema.Lease{Host: "h1", BootID: "b", PID: 1, ProcessStart: "1", Interval: 30})}
	ended = []schema.Document{a.Output(time.Minute, "loss", fmt.Sprintf("%.6f", r.Float64()), "acc", fmt.Sprintf("%.4f", r.Float64())), a.Ended(time.Minute, schema.Succeeded)}
	return a, started, ended
}

// Generate saves runs from to to (without) as Typical makes them, many in one transaction.
func Generate(ctx context.Context, s Store, from, to int, progress func(done int)) error {
	const atOnce = 2000
	for from < to {
		var docs []schema.Document
		until := min(to, from+atOnce)
		for ; from < until; from++ {
			_, started, ended := Typical(from)
			docs = append(append(docs, started...), ended...)
		}
		if err := s.Save(ctx, schema.Report{Documents: docs}); err != nil {
			return err
		}
		if progress != nil {
			progress(from)
		}
	}
	return nil
}

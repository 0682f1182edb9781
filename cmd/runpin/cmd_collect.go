package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/recorder/collect/kubernetes"
	"github.com/runpin/runpin/schema"
)

func collectCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "collect", Usage: "ask a Kubernetes cluster what became of the runs that were planned for it", ArgsUsage: " ",
		Description: `Finds the pods that carry the stamp of a run, and does for each run what finish --pod does: digests that ran, nodes, exit codes, metrics, status. A run that has ended
is looked at as well, for what ran and for pods that were made since; what was told of a try that has ended is not asked again.
It only gets, lists and watches pods. Exit code 14 when an image that ran is not the one that was pinned, 15 when the cluster cannot be reached.

` + examples("runpin collect --namespace ml", "runpin collect --all-namespaces --watch"),
		Flags: []cli.Flag{
			kubeconfigFlag(), contextFlag(),
			&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "`NAMESPACE` of the pods (default: that of the context)"},
			&cli.BoolFlag{Name: "all-namespaces", Aliases: []string{"A"}, Usage: "pods of every namespace"},
			&cli.BoolFlag{Name: "watch", Usage: "go on until stopped"},
			&cli.StringFlag{Name: "since", Usage: "only runs recorded since `TIME`: 2026-11-23 or an age such as 12h, 7d", Value: "30d"},
			&cli.StringFlag{Name: "interval", Usage: "with --watch: how often, as `DURATION`, leases of running runs are renewed", Value: "30s"},
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "`HOST` whose registry may be asked over plain http"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0, "no argument"); err != nil {
				return err
			}
			interval, err := time.ParseDuration(c.String("interval"))
			if err != nil || interval < time.Second || interval > 24*time.Hour {
				return usageError("write it like 30s or 5m", "--interval %q is not a duration between 1s and 24h", schema.Shorten(c.String("interval"), 40))
			}
			since, err := parseSince(env.Now(), c.String("since"))
			if err != nil {
				return err
			}
			cluster, err := kubernetes.New(kubernetes.Options{Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), Namespace: c.String("namespace"),
				All: c.Bool("all-namespaces"), Agent: "runpin/" + version})
			if err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forWriting)
			if err != nil {
				return err
			}
			defer w.close()
			if w.store.runStore == nil {
				return w.store.missing()
			}
			k := &collecting{w: w, cluster: cluster, since: since, interval: onceInterval, json: c.Bool("json"), running: map[schema.RunID]bool{}}
			if c.Bool("watch") {
				k.interval = interval
				return k.watch(c.Context)
			}
			return k.once(c.Context)
		},
	}
}

// collecting is one run of the verb.
type collecting struct {
	w        *wiring
	cluster  *kubernetes.Client
	since    schema.Time
	interval time.Duration
	json     bool
	running  map[schema.RunID]bool // those that went on when they were last looked at
}

// collectedRun is what is said of a run: one row, or one JSON object.
type collectedRun struct {
	Run       schema.RunID  `json:"run"`
	Name      string        `json:"name,omitempty"`
	Status    schema.Status `json:"status"`
	Pods      int           `json:"pods"`
	Documents int           `json:"documents"` // that were new
	Drift     []string      `json:"drift,omitempty"`
}

func (k *collecting) once(ctx context.Context) error {
	byRun := map[schema.RunID]map[string]kubernetes.Pod{}
	if _, err := k.cluster.List(ctx, func(p kubernetes.Pod) { remember(byRun, p) }); err != nil {
		return err
	}
	results := []collectedRun{}
	var failures []error
	for _, id := range slices.Sorted(maps.Keys(byRun)) {
		mine, over, err := k.look(ctx, id)
		if err != nil || !mine {
			failures = append(failures, err)
			continue
		}
		r, drifts, err := k.take(ctx, id, slices.Collect(maps.Values(byRun[id])))
		failures = append(append(failures, drifts...), err)
		if err == nil && (!over || r.Documents > 0) { // of a run that had ended only what is new is told
			results = append(results, r)
		}
	}
	var err error
	if k.json {
		err = k.w.env.printJSON(results)
	} else {
		k.table(results)
	}
	return errors.Join(append(failures, err)...)
}

// look reports whether a run is one of the store, planned with a job and not too long ago, and whether it has ended.
func (k *collecting) look(ctx context.Context, id schema.RunID) (mine, ended bool, err error) {
	run, err := k.w.store.Run(ctx, id)
	if schema.IsKind(err, schema.NotFound) { // it stands in another store
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	return run.Job != nil && !run.Created.Before(k.since), run.Status.Ended(), nil
}

// take does for one run what finish --pod does.
func (k *collecting) take(ctx context.Context, id schema.RunID, pods []kubernetes.Pod) (collectedRun, []error, error) {
	fail := func(err error) (collectedRun, []error, error) { return collectedRun{}, nil, err }
	docs, err := k.w.store.Documents(ctx, id)
	if err != nil {
		return fail(err)
	}
	told, err := collectBy(ctx, &collect.Collector{Images: k.w.images, Where: "kubernetes", Interval: int(k.interval / time.Second), Once: true}, kubernetes.Tries(pods), docs)
	if err != nil {
		return fail(err)
	}
	if len(told.documents) > 0 {
		if err := k.w.store.Save(ctx, schema.Report{Documents: told.documents}); err != nil {
			return fail(err)
		}
	}
	delete(k.running, id)
	if told.running {
		k.running[id] = true
		if err := k.w.store.Beat(ctx, id, schema.At(k.w.env.Now())); err != nil {
			return fail(err)
		}
	}
	run, err := k.w.store.Run(ctx, id)
	if err != nil {
		return fail(err)
	}
	r := collectedRun{Run: id, Name: run.Name, Status: run.Status, Pods: len(pods), Documents: len(told.documents)}
	drifts := collect.Drifts(&run)
	for _, d := range drifts {
		r.Drift = append(r.Drift, d.Error())
	}
	if r.Documents == 0 && run.Status.Ended() {
		drifts = nil // it is shown, and was complained of when it was found
	}
	return r, drifts, nil
}

func (k *collecting) table(results []collectedRun) {
	var rows [][]string
	for _, r := range results {
		drift := ""
		if len(r.Drift) > 0 {
			drift = "drift"
		}
		id := string(r.Run)
		if k.w.env.OutTTY {
			id = r.Run.Short()
		}
		rows = append(rows, []string{id, r.Name, string(r.Status), plural(int64(r.Pods), "pod"), plural(int64(r.Documents), "new document"), drift})
	}
	k.w.env.table([]string{"RUN", "NAME", "STATUS", "PODS", "SAID", "DRIFT"}, rows)
}

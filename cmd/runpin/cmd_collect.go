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
		Description: `Finds the pods that carry the stamp of a run which has not ended, and does for each run what finish --pod does: digests that ran, nodes, exit codes, metrics, status.
It only gets, lists and watches pods. Exit code 14 when an image that ran is not the one that was pinned, 15 when the cluster cannot be reached.

` + examples("runpin collect --namespace ml", "runpin collect --all-namespaces --watch"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "kubeconfig", Usage: "`FILE` that says how the cluster is reached (default: $KUBECONFIG, ~/.kube/config, or the account of the pod)"},
			&cli.StringFlag{Name: "context", Usage: "`NAME` of a context in the kubeconfig"},
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
		pods := slices.Collect(maps.Values(byRun[id]))
		wanted, err := k.wanted(ctx, id, pods)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		r, drifts, err := k.take(ctx, id, pods)
		failures = append(append(failures, drifts...), err)
		if err == nil {
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

// wanted reports whether there is something to learn from the pods that carry a run's id: the store has the run, planned with a job, and it has not ended, or not
// all of the pods have told yet how they ended. What ended a run may have come before its last try, or from a rank that knows no digest.
func (k *collecting) wanted(ctx context.Context, id schema.RunID, pods []kubernetes.Pod) (bool, error) {
	run, err := k.w.store.Run(ctx, id)
	if schema.IsKind(err, schema.NotFound) {
		return false, nil // of another store
	}
	if err != nil || run.Job == nil || run.Created.Before(k.since) {
		return false, err
	}
	if !run.Status.Ended() {
		return true, nil
	}
	docs, err := k.w.store.Documents(ctx, id)
	if err != nil {
		return false, err
	}
	told := map[string]bool{}
	for _, d := range docs {
		if d.Reporter.Kind == "collector" && d.Observation != nil && d.Observation.Attempt != nil && !d.Observation.Attempt.Finished.IsZero() {
			told[d.Reporter.AttemptID] = true
		}
	}
	return slices.ContainsFunc(pods, func(p kubernetes.Pod) bool { return !told[p.Metadata.Name] && ended(p) }), nil
}

// take does for one run what finish --pod does.
func (k *collecting) take(ctx context.Context, id schema.RunID, pods []kubernetes.Pod) (collectedRun, []error, error) {
	fail := func(err error) (collectedRun, []error, error) { return collectedRun{}, nil, err }
	docs, err := k.w.store.Documents(ctx, id)
	if err != nil {
		return fail(err)
	}
	told, err := k.w.collect(ctx, "kubernetes", kubernetes.Tries(pods), docs, k.interval)
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

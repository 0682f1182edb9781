package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/sqlite"
)

// cluster is an API server that has the pods that a test gives it, and tells watchers of those that it is given later.
type cluster struct {
	mu     sync.Mutex
	pods   []string
	events chan string
	down   bool
}

func (k *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	k.mu.Lock()
	pods, down := strings.Join(k.pods, ","), k.down
	k.mu.Unlock()
	switch {
	case down:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","code":503}`)
	case r.URL.Query().Get("watch") != "":
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-k.events:
				fmt.Fprintf(w, "{\"type\":\"MODIFIED\",\"object\":%s}\n", e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	default:
		fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[%s]}`, pods)
	}
}

func clusterPod(run, digest, phase, state string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"train-abc","namespace":"ml","resourceVersion":"8","creationTimestamp":"2026-11-23T18:00:00Z","annotations":{"runpin.dev/run":%q}},
"spec":{"nodeName":"gpu-7","containers":[{"name":"main","image":"registry.invalid/team/trainer@%s"}]},
"status":{"phase":%q,"startTime":"2026-11-23T18:00:01Z","containerStatuses":[{"name":"main","imageID":"registry.invalid/team/trainer@%s","state":%s}]}}`, run, digest, phase, digest, state)
}

const (
	podRunning = `{"running":{"startedAt":"2026-11-23T18:00:05Z"}}`
	podEnded   = `{"terminated":{"exitCode":0,"startedAt":"2026-11-23T18:00:05Z","finishedAt":"2026-11-23T18:20:00Z"}}`
)

// collectBench is a store with one planned run, and a cluster.
type collectBench struct {
	run    schema.RunID
	pinned schema.Digest
	k      *cluster
	db     string
	file   string
}

func newCollectBench(t *testing.T) *collectBench {
	t.Helper()
	dir := t.TempDir()
	b := &collectBench{k: &cluster{events: make(chan string)}, pinned: schema.SHA256([]byte("image")), db: filepath.Join(dir, "s.db"), file: filepath.Join(dir, "kubeconfig")}
	server := httptest.NewServer(b.k)
	t.Cleanup(server.Close)
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`, server.URL)
	if err := os.WriteFile(b.file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	at := schema.At(time.Now())
	b.run = schema.NewRunID(at.Time())
	plan := &schema.Plan{Created: at, Recorder: "runpin test", Job: &schema.JobSpec{Format: "kubernetes", TemplateDigest: schema.SHA256([]byte("template")), Path: schema.Path{Typed: "job.yaml", Base: schema.BaseWorkDir, Rel: "job.yaml"}},
		Images: []schema.ImagePin{{Name: "main", Ref: "registry.invalid/team/trainer:1", PlatformDigest: b.pinned, ConfigDigest: schema.SHA256([]byte("config")), Use: schema.Claimed}}}
	s := b.open(t)
	defer s.Close()
	if err := s.Save(t.Context(), schema.Report{Documents: []schema.Document{{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(b.run), Run: b.run, At: at,
		Reporter: schema.Reporter{Kind: "submitter"}, Plan: plan}}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *collectBench) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), sqlite.Dialect{}, b.db, store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *collectBench) fold(t *testing.T) schema.Run {
	t.Helper()
	s := b.open(t)
	defer s.Close()
	run, err := s.Run(t.Context(), b.run)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (b *collectBench) collect(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	vars := map[string]string{"HOME": filepath.Dir(b.db), "RUNPIN_USER": "t", "RUNPIN_RETRY_BUDGET": "1s"}
	env := &Env{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(k string) string { return vars[k] }, Environ: func() []string { return nil }, Now: time.Now}
	code = run(ctx, append([]string{"runpin", "collect", "--store", b.db, "--kubeconfig", b.file, "--all-namespaces"}, args...), env)
	return code, out.String(), errs.String()
}

// TestCollectOnce goes from a planned run over one that runs to one that has ended.
func TestCollectOnce(t *testing.T) {
	b := newCollectBench(t)
	step := func(pod string, want schema.Status, documents string) {
		t.Helper()
		b.k.pods = []string{pod}
		code, out, errs := b.collect(t.Context(), "--json")
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
		if run := b.fold(t); run.Status != want {
			t.Errorf("status %s, want %s", run.Status, want)
		}
		var rows []collectedRun
		if err := json.Unmarshal([]byte(out), &rows); err != nil || fmt.Sprint(len(rows)) != documents {
			t.Errorf("%v, rows %s, want %s", err, out, documents)
		}
	}
	step(clusterPod(string(b.run), string(b.pinned), "Pending", `{"waiting":{"reason":"ContainerCreating"}}`), schema.Planned, "1")
	step(clusterPod(string(b.run), string(b.pinned), "Running", podRunning), schema.Running, "1")
	step(clusterPod(string(b.run), string(b.pinned), "Succeeded", podEnded), schema.Succeeded, "1")
	run := b.fold(t)
	if run.Images[0].Use != schema.Observed || run.Fingerprint == "" || run.Lease != nil || len(run.Attempts) != 1 || run.Attempts[0].Node != "gpu-7" {
		t.Errorf("use %s, fingerprint %q, lease %v, attempts %v", run.Images[0].Use, run.Fingerprint, run.Lease, run.Attempts)
	}
	step(clusterPod(string(b.run), string(b.pinned), "Succeeded", podEnded), schema.Succeeded, "0") // it has ended: nobody asks for it
}

func TestCollectDriftAndOutage(t *testing.T) {
	b := newCollectBench(t)
	b.k.pods = []string{clusterPod(string(b.run), string(schema.SHA256([]byte("another"))), "Succeeded", podEnded)}
	if code, _, errs := b.collect(t.Context()); code != exitGone || !strings.Contains(errs, "another image ran") {
		t.Errorf("drift: exit %d, %s", code, errs)
	}
	b.k.down = true
	if code, _, errs := b.collect(t.Context()); code != exitUnavailable {
		t.Errorf("outage: exit %d, %s", code, errs)
	}
	if code, _, _ := b.collect(t.Context(), "--interval", "soon"); code != exitUsage {
		t.Errorf("--interval soon: exit %d", code)
	}
}

// TestCollectWatch: what is told while it watches is stored, and being told to stop is no failure.
func TestCollectWatch(t *testing.T) {
	b := newCollectBench(t)
	b.k.pods = []string{clusterPod(string(b.run), string(b.pinned), "Running", podRunning)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int)
	go func() {
		code, _, _ := b.collect(ctx, "--watch", "--interval", "1s")
		ended <- code
	}()
	until := func(want schema.Status) {
		t.Helper()
		for b.fold(t).Status != want {
			select {
			case code := <-ended:
				t.Fatalf("it ended with %d before the run was %s", code, want)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	until(schema.Running)
	b.k.events <- clusterPod(string(b.run), string(b.pinned), "Succeeded", podEnded)
	until(schema.Succeeded)
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d", code)
	}
}

// TestCollectorExample: the role of the example reads pods and can do nothing else, and the deployment starts what this program understands.
func TestCollectorExample(t *testing.T) {
	data, err := os.ReadFile("../../examples/collector/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var o struct {
			Kind  string
			Rules []struct {
				APIGroups        []string `yaml:"apiGroups"`
				Resources, Verbs []string
			}
			Spec struct {
				Template struct {
					Spec struct {
						ServiceAccountName string `yaml:"serviceAccountName"`
						Containers         []struct{ Args []string }
					}
				}
			}
		}
		if dec.Decode(&o) != nil {
			break
		}
		kinds[o.Kind]++
		switch o.Kind {
		case "ClusterRole":
			if got := fmt.Sprint(o.Rules); got != "[{[] [pods] [get list watch]}]" && got != "[{[\"\"] [pods] [get list watch]}]" {
				t.Errorf("the role may %s", got)
			}
		case "Deployment":
			pod := o.Spec.Template.Spec
			if pod.ServiceAccountName != "runpin-collector" {
				t.Errorf("account %q", pod.ServiceAccountName)
			}
			command := collectCommand(newEnv())
			known := flagTable(command.Flags)
			for _, a := range pod.Containers[0].Args[1:] {
				if _, ok := known[strings.TrimPrefix(a, "--")]; !ok {
					t.Errorf("there is no flag %s", a)
				}
			}
		}
	}
	for _, want := range []string{"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment"} {
		if kinds[want] != 1 {
			t.Errorf("%d objects of kind %s", kinds[want], want)
		}
	}
}

// A run that a rank or a person ended before anybody looked at the cluster still is told which image ran.
func TestCollectEndedRun(t *testing.T) {
	b := newCollectBench(t)
	s := b.open(t)
	at := schema.At(time.Now())
	code := 0
	err := s.Save(t.Context(), schema.Report{Documents: []schema.Document{{Schema: schema.SchemaV1, Kind: schema.KindStatus, ID: schema.NewDocumentID(at.Time()), Run: b.run, At: at,
		Reporter: schema.Reporter{Kind: "user"}, Status: &schema.StatusChange{To: schema.Succeeded, Finished: at, ExitCode: &code}}}})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if run := b.fold(t); run.Status != schema.Succeeded || run.Images[0].Use == schema.Observed {
		t.Fatalf("%s %s", run.Status, run.Images[0].Use)
	}
	b.k.pods = []string{clusterPod(string(b.run), string(b.pinned), "Succeeded", podEnded)}
	for i, rows := range []int{1, 0} {
		exit, out, errs := b.collect(t.Context(), "--json")
		var got []collectedRun
		if err := json.Unmarshal([]byte(out), &got); exit != exitOK || err != nil || len(got) != rows {
			t.Errorf("%d: exit %d, %s, %s", i, exit, out, errs)
		}
	}
	if run := b.fold(t); run.Status != schema.Succeeded || run.Images[0].Use != schema.Observed || run.Attempts[0].Node != "gpu-7" {
		t.Errorf("%s %s %+v", run.Status, run.Images[0].Use, run.Attempts)
	}
}

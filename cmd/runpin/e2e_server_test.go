package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// startServe starts `runpin serve` over the pipeline's store at an address (127.0.0.1:0: a free port) and gives its URL and what kills it at once.
func (p *pipeline) startServe(listen string) (url string, kill func()) {
	p.t.Helper()
	cmd := exec.Command("runpin", "serve", "--listen", listen)
	cmd.Dir, cmd.Env = p.project, p.env
	log := new(lockedBuffer)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p.t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		kill()
		p.t.Fatalf("serve: %v\n%s", err, log)
	}
	return strings.TrimSpace(line), kill
}

// planPods plans a Kubernetes job with the name and gives the run's id.
func (p *pipeline) planPods(name, image string) string {
	p.t.Helper()
	p.write("job.yaml", strings.ReplaceAll(strings.ReplaceAll(kubernetesJob, "IMAGE", image), "name: train\n", "name: "+name+"\n"))
	return strings.TrimSpace(p.must(0, "record", "--job", "job.yaml", "--pinned", "pinned.yaml", "--dataset", "train=data", "--code", "."))
}

// joinAll has that many ranks join the run at once, each with a command of its own, and gives their exit codes and what they said.
func (p *pipeline) joinAll(id string, ranks int, env []string, command func(rank int) []string) (codes []int, said []string) {
	p.t.Helper()
	codes, said = make([]int, ranks), make([]string, ranks)
	var wg sync.WaitGroup
	for rank := range ranks {
		wg.Go(func() {
			mine := append([]string{"RUNPIN_RUN_ID=" + id, fmt.Sprint("RANK=", rank), fmt.Sprint("WORLD_SIZE=", ranks), "RUNPIN_RETRY_BUDGET=2s"}, env...)
			args := append([]string{"record", "--join", "--output", "model=model.txt", "--metrics", "metrics.json", "--"}, command(rank)...)
			codes[rank], _, said[rank] = p.run(mine, "", args...)
		})
	}
	wg.Wait()
	return codes, said
}

// mustHoldRanks requires one attempt with exit code 0 of each rank, and what rank 0 wrote.
func (p *pipeline) mustHoldRanks(id string, ranks int) {
	p.t.Helper()
	run := p.show(id)
	ended := map[int]int{}
	for _, a := range run.Attempts {
		if a.Rank != nil && a.ExitCode != nil && *a.ExitCode == 0 {
			ended[*a.Rank]++
		}
	}
	for rank := range ranks {
		if ended[rank] != 1 {
			p.t.Errorf("run %s: rank %d has %d attempts that ended well, want 1", id, rank, ended[rank])
		}
	}
	if len(run.Environments) != 1 || len(run.Environments[0].Ranks) != ranks {
		p.t.Errorf("run %s: %d environments, want one of all ranks", id, len(run.Environments))
	}
	if run.Status != schema.Succeeded || len(run.Outputs) != 1 || run.Metrics["loss"] != "0.5" {
		p.t.Errorf("run %s: status %s, outputs %+v, metrics %v", id, run.Status, run.Outputs, run.Metrics)
	}
}

// TestPipelineServer has ranks report through `runpin serve` at once; then the server is gone at the start, dies in the middle, or refuses the token. Each
// time the commands are not hurt, and after the reports have been folded in nothing is missing and nothing is there twice.
func TestPipelineServer(t *testing.T) {
	const ranks = 8
	p := newPipeline(t)
	registry, _ := startRegistry(t)
	image := registry + "/team/trainer:1.4"
	busyboxImage(t, registry, "team/trainer", "1.4", nil)
	url, kill := p.startServe("127.0.0.1:0")
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	ids := map[string]string{}
	for _, name := range []string{"fine", "start", "middle", "rights"} {
		ids[name] = p.planPods(name, image)
	}
	store := []string{"RUNPIN_STORE=" + url}
	train := func(rank int) []string {
		if rank == 0 {
			return []string{"sh", "-c", `echo model > model.txt; echo '{"loss": 0.5}' > metrics.json`}
		}
		return []string{"sh", "-c", "true"} // the same interpreter, so that all have one environment
	}
	allWell := func(what string, codes []int, said []string) {
		t.Helper()
		for rank, code := range codes {
			if code != 0 {
				t.Errorf("%s: rank %d: exit code %d\n%s", what, rank, code, said[rank])
			}
		}
	}
	spooled := func(said []string) (n int) {
		for _, text := range said {
			if strings.Contains(text, "waits in the spool") {
				n++
			}
		}
		return n
	}

	codes, said := p.joinAll(ids["fine"], ranks, store, train)
	allWell("fine", codes, said)
	if n := spooled(said); n != 0 {
		t.Errorf("%d of the reports went to a spool: %q", n, said)
	}
	p.mustHoldRanks(ids["fine"], ranks)

	// Rank 0 sees the server die while it trains.
	gone := filepath.Join(p.project, "gone")
	var middle sync.WaitGroup
	middle.Go(func() {
		codes, said := p.joinAll(ids["middle"], ranks, store, func(rank int) []string {
			return []string{"sh", "-c", "touch started-" + fmt.Sprint(rank) + "; while [ ! -e gone ]; do sleep 0.05; done; " + `[ $RANK != 0 ] || { echo model > model.txt; echo '{"loss": 0.5}' > metrics.json; }`}
		})
		allWell("middle", codes, said)
		if n := spooled(said); n != ranks {
			t.Errorf("the server died in the middle: %d of %d ranks say that a report waits in the spool: %q", n, ranks, said)
		}
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if found, _ := filepath.Glob(filepath.Join(p.project, "started-*")); len(found) == ranks {
			break
		}
	}
	kill()
	if err := os.WriteFile(gone, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	middle.Wait()

	codes, said = p.joinAll(ids["start"], ranks, store, train)
	allWell("start", codes, said)
	if n := spooled(said); n != ranks {
		t.Errorf("no server at the start: %d of %d ranks say that a report waits in the spool: %q", n, ranks, said)
	}

	// A server that asks for tokens, and a token that may only read.
	token := strings.Fields(p.must(0, "serve", "token", "create", "--scope", "read"))
	p.startServe(address)
	codes, said = p.joinAll(ids["rights"], ranks, append(store, "RUNPIN_TOKEN="+token[len(token)-1]), train)
	allWell("rights", codes, said)
	if n := spooled(said); n != ranks {
		t.Errorf("a token that may only read: %d of %d ranks say that a report waits in the spool: %q", n, ranks, said)
	}
	for rank, text := range said {
		if strings.Contains(text, token[len(token)-1]) {
			t.Errorf("rank %d shows the token:\n%s", rank, text)
		}
	}

	spools, err := filepath.Glob(filepath.Join(filepath.Dir(p.project), "cache", "runpin", "spool", "*"))
	if err != nil || len(spools) == 0 {
		t.Fatalf("spools: %q, %v", spools, err)
	}
	for range 2 { // The second time changes nothing.
		p.must(0, append([]string{"import"}, spools...)...)
		for _, name := range []string{"fine", "middle", "start", "rights"} {
			p.mustHoldRanks(ids[name], ranks)
		}
	}
}

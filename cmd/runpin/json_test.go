package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestJSONFields lists the members of what each reading verb prints with --json. A member may be added; one that is missing breaks scripts (docs/json.md).
func TestJSONFields(t *testing.T) {
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(dir, "s.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=j")
	runpin := func(args ...string) (stdout, stderr string) {
		cmd := exec.CommandContext(t.Context(), "runpin", args...)
		cmd.Dir, cmd.Env = dir, env
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		return out.String(), errs.String()
	}
	if err := os.WriteFile(filepath.Join(dir, "data.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "mlruns", "0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mlruns", "0", "meta.yaml"), []byte("name: x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	digest := "@sha256:" + strings.Repeat("0", 64)
	if err := os.WriteFile(filepath.Join(dir, "job.yaml"), []byte("services: {a: {image: x"+digest+"}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "runpin.lock"), []byte(`{"schema":"runpin.dev/lock/v1","images":[],"code":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	runpin("record", "--no-code", "--name", "one", "--dataset", "d=data.txt", "--output", "o.txt", "--", "sh", "-c", "cat data.txt > o.txt")
	runpin("record", "--no-code", "--name", "spooled", "--store", "spool:spooled", "--", "true")
	runpin("serve", "token", "create", "--scope", "read")
	for _, answer := range [][2]string{
		{"show one", "schema id status created user datasets command command_template launcher workdir declared_outputs recorder started finished exit_code environments observations outputs fingerprint"},
		{"list", "[] schema id status created"},
		{"check one", "run name rerunnable answer pins"},
		{"check --all --summary", "runs rerunnable needs lost unknown did_not_end asked losses causes"},
		{"rerun one --execute", "run rerun_of verdict pins dir"},
		{"rerun one one --execute", "run rerun_of verdict pins dir state seconds log"},
		{"rerun one --execute --dry-run", "rerun_of on dir pins steps"},
		{"verify latest", "result against same_inputs outputs"},
		{"diff one latest", "schema a b same_inputs summary differences"},
		{"import mlflow mlruns", "runs new updated unchanged recorded failed with_image with_commit with_dataset with_all"},
		{"import spooled", "reports already left"},
		{"store check", "runs documents blobs bytes waiting problems"},
		{"store migrate copy.db", "from to documents new_documents blobs new_blobs bytes digest"},
		{"serve token list", "[] id scopes created"},
		{"pin --locked job.yaml", "[] file format changed references left"},
		{"lint --offline job.yaml", "files findings"},
		{"version", "version go os arch revision"},
	} {
		verb, want := answer[0], answer[1]
		out, errs := runpin(append(strings.Fields(verb), "--json")...)
		want, list := strings.CutPrefix(want, "[] ")
		var object map[string]any
		var err error
		if list {
			var all []map[string]any
			if err = json.Unmarshal([]byte(out), &all); err == nil && len(all) > 0 {
				object = all[0]
			}
		} else {
			err = json.Unmarshal([]byte(out), &object)
		}
		if err != nil {
			t.Errorf("%s --json: %v\n%s%s", verb, err, out, errs)
			continue
		}
		for _, field := range strings.Fields(want) {
			if _, ok := object[field]; !ok {
				t.Errorf("%s --json has no member %q: %v", verb, field, slices.Sorted(maps.Keys(object)))
			}
		}
	}
	_, errs := runpin("show", "7ZZZZZZZ", "--json")
	var failure struct {
		Error struct {
			Kind, Subject, Message, Hint string
			ExitCode                     int `json:"exit_code"`
		}
	}
	if err := json.Unmarshal([]byte(errs), &failure); err != nil || failure.Error.Kind != "not-found" || failure.Error.ExitCode != exitNoRun || failure.Error.Message == "" || failure.Error.Hint == "" {
		t.Errorf("a failure with --json: %v\n%s", err, errs)
	}
}

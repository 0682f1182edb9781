package process

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

func TestRunContext(t *testing.T) {
	tags := map[string]string{"runpin.run_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "mlflow.source.git.commit": "ours", "runpin.dataset.d": "sha256:<1>"}
	for name, c := range map[string]struct {
		set  string
		want map[string]string
	}{
		"nothing is set":           {"", tags},
		"the user's tags stay":     {`{"team":"v","mlflow.source.git.commit":"theirs"}`, map[string]string{"runpin.run_id": tags["runpin.run_id"], "mlflow.source.git.commit": "theirs", "runpin.dataset.d": "sha256:<1>", "team": "v"}},
		"runpin's own stand":       {`{"runpin.run_id":"forged"}`, tags},
		"a run around this one":    {`{"runpin.run_id":"outer","runpin.dataset.other":"x","mlflow.source.git.branch":"outer","mlflow.docker.image.uri":"outer","team":"v"}`, with(tags, "team", "v")},
		"a value of another kind":  {`{"n":1}`, with(tags, "n", "1")},
		"the empty object is fine": {`{}`, tags},
	} {
		base := []string{"A=1"}
		if c.set != "" {
			base = append(base, RunContextName+"="+c.set)
		}
		env := ChildEnv(base, Child{Tags: tags})
		value, _ := variableOf(env, RunContextName)
		var got map[string]any
		if err := json.Unmarshal([]byte(value), &got); err != nil {
			t.Errorf("%s: %v: %s", name, err, value)
			continue
		}
		if n := strings.Count(strings.Join(env, "\n"), RunContextName+"="); n != 1 {
			t.Errorf("%s: it is set %d times", name, n)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
		}
		for k, v := range c.want {
			if k != "n" && got[k] != v {
				t.Errorf("%s: %s is %v, want %s", name, k, got[k], v)
			}
		}
	}
}

// TestRunContextOfAJoinedRank: the command that started the ranks knew the plan. A rank that joins knows the run's id alone, and keeps what it finds of this run.
func TestRunContextOfAJoinedRank(t *testing.T) {
	id := "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	known := map[string]string{"runpin.run_id": id, "runpin.fingerprint": "fp1:x", "runpin.dataset.d": "sha256:1", "mlflow.source.git.commit": "c0ffee", "mlflow.docker.image.uri": "i@sha256:2", "team": "v"}
	for name, c := range map[string]struct{ joined, want map[string]string }{
		"the same run":      {map[string]string{"runpin.run_id": id}, known},
		"written smaller":   {map[string]string{"runpin.run_id": strings.ToLower(id)}, with(known, "runpin.run_id", strings.ToLower(id))},
		"what it does know": {map[string]string{"runpin.run_id": id, "runpin.dataset.d": "sha256:3"}, with(known, "runpin.dataset.d", "sha256:3")},
		"another run":       {map[string]string{"runpin.run_id": "01BX5ZZKBKACTAV9WEVGEMMVRZ"}, map[string]string{"runpin.run_id": "01BX5ZZKBKACTAV9WEVGEMMVRZ", "team": "v"}},
	} {
		outer := mergeRunContext(nil, known)
		var got map[string]string
		if err := json.Unmarshal([]byte(mergeRunContext([]string{RunContextName + "=" + outer}, c.joined)), &got); err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func with(tags map[string]string, k, v string) map[string]string {
	more := maps.Clone(tags)
	more[k] = v
	return more
}

// TestMalformedRunContext: what cannot be understood is passed on as it is.
func TestMalformedRunContext(t *testing.T) {
	for _, value := range []string{"{", "[]", "null", `"x"`, strings.Repeat(" ", maxRunContext+1)} {
		base := []string{RunContextName + "=" + value}
		if CheckRunContext(base) == nil {
			t.Errorf("%.20q is taken for a context", value)
		}
		if got := ChildEnv(base, Child{Tags: map[string]string{"runpin.run_id": "x"}}); len(got) != 1 || got[0] != base[0] {
			t.Errorf("%.20q became %.80q", value, got)
		}
	}
}

// TestRunContextIsBounded: tags that MLflow would refuse are left out, and whatever else does not fit, the run's id is there.
func TestRunContextIsBounded(t *testing.T) {
	tags := map[string]string{"runpin.run_id": "id", "a" + strings.Repeat("k", maxTagKey): "v", "long": strings.Repeat("v", maxTagValue+1), "nul": "a\x00b", "bad": "\xff"}
	for i := range 20 {
		tags["aaa"+string(rune('a'+i))] = strings.Repeat("x", maxTagValue)
	}
	value := mergeRunContext(nil, tags)
	var got map[string]string
	if err := json.Unmarshal([]byte(value), &got); err != nil || got["runpin.run_id"] != "id" || len(value) > maxRunContext+1024 {
		t.Errorf("%v: %d bytes", err, len(value))
	}
	for k := range got {
		if k == "long" || k == "nul" || k == "bad" || len(k) > maxTagKey {
			t.Errorf("%.20q is there", k)
		}
	}
}

func FuzzRunContext(f *testing.F) {
	f.Add(`{"a":"b"}`)
	f.Add(`{"a":{"b":[1]}}`)
	f.Fuzz(func(t *testing.T, set string) {
		value := mergeRunContext([]string{RunContextName + "=" + set}, map[string]string{"runpin.run_id": "x"})
		if value == "" {
			return
		}
		if err := CheckRunContext([]string{RunContextName + "=" + value}); err != nil && len(value) <= maxRunContext {
			t.Errorf("%q became %q: %v", set, value, err)
		}
	})
}

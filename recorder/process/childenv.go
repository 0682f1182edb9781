package process

import (
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// Child is what a started command is told about its run. The keys of Pins and Paths are KIND_name ("DATASET_train").
type Child struct {
	Run   schema.RunID
	Store string
	Pins  map[string]string
	Paths map[string]string
	Tags  map[string]string // for the runs that the command logs with MLflow; see runcontext.go
}

// ChildEnv gives base with RUNPIN_RUN_ID, RUNPIN_STORE, RUNPIN_PIN_<KIND>_<NAME> and RUNPIN_PATH_<KIND>_<NAME> set (DESIGN §5), upper-cased and
// sorted, after everything else; and, with Tags, MLFLOW_RUN_CONTEXT with these tags added. What base says of these is dropped, and so are the pins and paths of a run around this one: a child must not
// take another run's data for its own. RUNPIN_STORE is passed on without user info, unless that
// stands in base already; a store that needs it is told its credentials otherwise.
func ChildEnv(base []string, c Child) []string {
	own := map[string]string{}
	if c.Run != "" {
		own["RUNPIN_RUN_ID"] = string(c.Run)
	}
	if c.Store != "" {
		own["RUNPIN_STORE"], _ = redact.URL(c.Store)
		if given, _ := variableOf(base, "RUNPIN_STORE"); given == c.Store {
			own["RUNPIN_STORE"] = given // it is in the environment already, and with it what the child needs to get in
		}
	}
	for name, value := range c.Pins {
		own["RUNPIN_PIN_"+variableName(name)] = value
	}
	for name, value := range c.Paths {
		own["RUNPIN_PATH_"+variableName(name)] = value
	}
	if len(c.Tags) > 0 {
		if value := mergeRunContext(base, c.Tags); value != "" {
			own[RunContextName] = value
		}
	}
	out := make([]string, 0, len(base)+len(own))
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		if _, set := own[name]; set || strings.HasPrefix(name, "RUNPIN_PIN_") || strings.HasPrefix(name, "RUNPIN_PATH_") || name == "RUNPIN_RUN_ID" {
			continue
		}
		out = append(out, kv)
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if strings.IndexByte(own[name], 0) >= 0 {
			continue // no system can pass it on
		}
		out = append(out, name+"="+own[name])
	}
	return out
}

func variableName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(s))
}

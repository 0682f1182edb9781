package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// RunContextName is the variable from which MLflow's own client takes tags for the runs that it starts: a JSON object (SystemEnvironmentContext in
// mlflow/tracking/context). Its tags stand over those that MLflow finds out itself, such as the git commit, and under those that the program gives.
const RunContextName = "MLFLOW_RUN_CONTEXT"

// Bounds on tags: MLflow's own (MAX_ENTITY_KEY_LENGTH, MAX_TAG_VAL_LENGTH in mlflow/utils/validation.py), and one on the whole, since a variable counts
// against what a process may be started with.
const (
	maxTagKey     = 250
	maxTagValue   = 8000
	maxRunContext = 64 << 10
)

// ownTag is the beginning of tags that runpin alone sets.
const ownTag = "runpin."

// CheckRunContext says what is wrong with the MLFLOW_RUN_CONTEXT that is set already, if it is: then it is left alone.
func CheckRunContext(environ []string) error {
	value, set := variableOf(environ, RunContextName)
	if !set {
		return nil
	}
	_, err := parseRunContext(value)
	return err
}

func parseRunContext(value string) (map[string]json.RawMessage, error) {
	if len(value) > maxRunContext {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(value), maxRunContext)
	}
	var tags map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &tags); err != nil || tags == nil {
		return nil, errors.New("it is no JSON object")
	}
	return tags, nil
}

// mergeRunContext gives the value of MLFLOW_RUN_CONTEXT with tags added; "" where what is set already cannot be understood. A tag that the user has set stands, but
// for runpin's own; those of a run around this one go. What is set for this very run stays: whoever started it knew the plan, which a rank that joins does not read.
func mergeRunContext(environ []string, tags map[string]string) string {
	merged := map[string]json.RawMessage{}
	if value, set := variableOf(environ, RunContextName); set {
		var err error
		if merged, err = parseRunContext(value); err != nil {
			return ""
		}
	}
	around, nested := merged[ownTag+"run_id"]
	same := nested && isRunID(around, tags[ownTag+"run_id"])
	maps.DeleteFunc(merged, func(k string, _ json.RawMessage) bool {
		if _, known := tags[k]; same && !known {
			return false
		}
		return strings.HasPrefix(k, ownTag) || nested && !same && (strings.HasPrefix(k, "mlflow.source.git.") || k == "mlflow.docker.image.uri")
	})
	size := 0
	for k, v := range merged {
		size += len(k) + len(v) + 8
	}
	for _, k := range slices.SortedFunc(maps.Keys(tags), runIDFirst) {
		v := tags[k]
		if _, set := merged[k]; set || len(k) > maxTagKey || len(v) > maxTagValue || !utf8.ValidString(k) || !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
			continue
		}
		text, err := marshal(v)
		if size += len(k) + len(text) + 8; err != nil || size > maxRunContext {
			continue
		}
		merged[k] = text
	}
	value, err := marshal(merged)
	if err != nil {
		return ""
	}
	return string(value)
}

// isRunID reports whether a value of the context is this id of a run.
func isRunID(value json.RawMessage, id string) bool {
	var text string
	return json.Unmarshal(value, &text) == nil && id != "" && strings.EqualFold(text, id)
}

// runIDFirst: when not all tags fit, the one by which the run is found stays.
func runIDFirst(a, b string) int {
	if first := ownTag + "run_id"; a == first || b == first {
		return map[bool]int{true: -1, false: 1}[a == first]
	}
	return strings.Compare(a, b)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// variableOf gives the value that a program would see: the last. An empty one counts as not set.
func variableOf(environ []string, name string) (value string, set bool) {
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			value = v
		}
	}
	return value, value != ""
}

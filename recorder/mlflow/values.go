package mlflow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// newer reports whether m stands in for n: MLflow compares step, time and value, in this order (FileStore._get_metric_from_file).
func (m Metric) newer(n Metric) bool {
	if m.Step != n.Step {
		return m.Step > n.Step
	}
	if m.Timestamp != n.Timestamp {
		return m.Timestamp > n.Timestamp
	}
	return m.Value > n.Value
}

// Text writes the value as MLflow's client prints it, so that a history reads the same whichever form it was kept in: the shortest digits that name
// the number, and NaN, +Inf and -Inf.
func (m Metric) Text() schema.Text {
	v := m.Value
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1) || v == math.MaxFloat64: // an SQL store of MLflow keeps infinity as the greatest double
		return "+Inf"
	case math.IsInf(v, -1) || v == -math.MaxFloat64:
		return "-Inf"
	}
	if size := math.Abs(v); v == 0 || size >= 1e-4 && size < 1e16 {
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return schema.Text(text)
	}
	return schema.Text(strconv.FormatFloat(v, 'e', -1, 64))
}

// maxMetricLine is far more than three numbers, or three numbers and a data set's name and digest, can take.
const maxMetricLine = 4 << 10

// lastMetric reads a metric's history, lines of "timestamp value [step [dataset digest]]", and gives the last value. A last line that was not written to its end
// counts only if it has the form.
func lastMetric(in io.Reader) (last Metric, err error) {
	buffer := make([]byte, 0, 64<<10)
	found, n := false, 0
	take := func(line []byte) error {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			return nil
		}
		m, err := metricLine(string(line))
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if !found || m.newer(last) {
			last, found = m, true
		}
		return nil
	}
	for {
		got, readErr := in.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+got]
		rest := buffer
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			if err := take(rest[:i]); err != nil {
				return last, err
			}
			rest = rest[i+1:]
		}
		if len(rest) > maxMetricLine {
			return last, fmt.Errorf("line %d: longer than %d bytes", n+1, maxMetricLine)
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], rest)]
		if readErr == io.EOF {
			err := take(buffer)
			if err == nil && !found {
				err = errors.New("it holds no value")
			}
			if found {
				return last, nil
			}
			return last, err
		}
		if readErr != nil {
			return last, readErr
		}
	}
}

func metricLine(line string) (m Metric, err error) {
	words := strings.Fields(line)
	if len(words) != 2 && len(words) != 3 && len(words) != 5 {
		return m, fmt.Errorf("%d fields, not 2, 3 or 5", len(words))
	}
	if m.Timestamp, err = strconv.ParseInt(words[0], 10, 64); err != nil {
		return m, errors.New("the time is no number")
	}
	if m.Value, err = number(words[1]); err != nil {
		return m, err
	}
	if len(words) >= 3 {
		if m.Step, err = strconv.ParseInt(words[2], 10, 64); err != nil {
			return m, errors.New("the step is no number")
		}
	}
	return m, nil
}

// number reads a float as Python writes it. Hexadecimal and underscores are Go's, not Python's.
func number(s string) (float64, error) {
	if len(s) > 64 || strings.ContainsAny(s, "xX_pP") {
		return 0, errors.New("the value is no number")
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, errors.New("the value is no number")
	}
	return v, nil
}

// maxMeta bounds a meta.yaml: it holds some ten short values, and of a data set the schema and a profile, which are not read.
const maxMeta = 1 << 20

// meta reads the scalars at the top of a meta.yaml; null is absent. Tags and anchors mean nothing here.
func meta(file []byte) (map[string]string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(file, &doc); err != nil {
		return nil, fmt.Errorf("it is not YAML: %s", schema.Shorten(err.Error(), 200))
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is not a map")
	}
	values := map[string]string{}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		if key.Kind == yaml.ScalarNode && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
			values[key.Value] = value.Value
		}
	}
	return values, nil
}

// millis reads a time of MLflow; 0 for none and for one that a record cannot hold.
func millis(s string) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return plausible(n)
	}
	return 0
}

// lastMilli is the last millisecond of the year 9999.
const lastMilli = 253402300799999

func plausible(ms int64) int64 {
	if ms < 0 || ms > lastMilli {
		return 0
	}
	return ms
}

// statusWord gives the word for the number in which a file store keeps the status (RunStatus in service.proto).
func statusWord(s string) string {
	switch s {
	case "1":
		return "RUNNING"
	case "2":
		return "SCHEDULED"
	case "3":
		return "FINISHED"
	case "4":
		return "FAILED"
	case "5":
		return "KILLED"
	}
	return s
}

// contextTag is the tag of an input that says what the data set was used for.
const contextTag = "mlflow.data.context"

// metaTag gives a value of the map "tags" of an input's meta.yaml: tags: {key: value}.
func metaTag(file []byte, key string) string {
	var doc struct {
		Tags yaml.Node `yaml:"tags"`
	}
	if yaml.Unmarshal(file, &doc) != nil || doc.Tags.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(doc.Tags.Content); i += 2 {
		if k, v := doc.Tags.Content[i], doc.Tags.Content[i+1]; k.Kind == yaml.ScalarNode && k.Value == key && v.Kind == yaml.ScalarNode {
			return v.Value
		}
	}
	return ""
}

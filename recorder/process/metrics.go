package process

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/runpin/runpin/schema"
)

// ParseMetrics reads the metrics that a program wrote into a file called name: numbers by name, with the text of each kept as it is written, NaN and
// infinities included. Four forms are known, told apart by the name's ending and by the content:
//
//   - a JSON object; nested objects are flattened with dots (also one object on each line, .jsonl: the last line that has a metric says it)
//   - lines k=v or k: v, or several k=v on a line; a later one stands in for an earlier one; # begins a comment
//   - CSV or TSV with a header: of each column the last cell that is not empty
//   - YAML, as [ParseParams] reads it
//
// What is no number (text, lists, null) is passed over: a metric is one number. A file without any is an error, and so is one of more than
// MaxFileBytes bytes or MaxEntries metrics. Errors name the line.
func ParseMetrics(file []byte, name string) (map[string]schema.Text, error) {
	const op, hint = "process.metrics", "write a JSON object, lines k=v, or CSV with a header"
	if len(file) > MaxFileBytes {
		return nil, fileError(op, name, 0, fmt.Errorf("%d bytes, at most %d are read", len(file), MaxFileBytes), "write the metrics alone into this file")
	}
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	f := &flat{values: map[string]schema.Text{}, keep: func(kind scalarKind, text string) bool {
		return kind == kindNumber || kind == kindBool || kind == kindString && isNumber(strings.TrimSpace(text))
	}}
	line, err := 0, error(nil)
	trimmed := bytes.TrimSpace(file)
	switch ext := strings.ToLower(path.Ext(name)); {
	case len(trimmed) == 0:
		err = fmt.Errorf("the file is empty")
	case ext == ".jsonl" || ext == ".ndjson":
		line, err = jsonLines(file, f)
	case ext == ".csv" || ext == ".tsv":
		line, err = table(file, ext == ".tsv", f)
	case ext == ".yaml" || ext == ".yml":
		line, err = yamlInto(file, f)
	case ext == ".json" || trimmed[0] == '{':
		r := &jsonReader{b: file, into: f}
		if err = r.document(); err != nil {
			line = r.line()
			if i := bytes.IndexByte(trimmed, '\n'); ext != ".json" && i > 0 && trimmed[i-1] == '}' { // JSON lines without the ending
				f.values = map[string]schema.Text{}
				line, err = jsonLines(file, f)
			}
		}
	case looksLikeTable(trimmed):
		line, err = table(file, !bytes.Contains(firstLine(trimmed), []byte(",")), f)
	default:
		line, err = pairs(file, f)
	}
	if err == nil && len(f.values) == 0 {
		line, err = 0, fmt.Errorf("it holds no number with a name")
	}
	if err != nil {
		return nil, fileError(op, name, line, err, hint)
	}
	return f.values, nil
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return line
}

// looksLikeTable: the first line has columns and no pairs.
func looksLikeTable(b []byte) bool {
	header := firstLine(b)
	return bytes.ContainsAny(header, ",\t") && !bytes.ContainsAny(header, "=:#")
}

func jsonLines(file []byte, f *flat) (int, error) {
	n := 0
	for rest := file; len(rest) > 0; {
		line, more, _ := bytes.Cut(rest, []byte("\n"))
		rest = more
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		one := &flat{values: map[string]schema.Text{}, keep: f.keep}
		r := &jsonReader{b: line, into: one}
		if err := r.document(); err != nil {
			if len(rest) == 0 && !bytes.HasSuffix(file, []byte("\n")) {
				return n, fmt.Errorf("the last line is not whole: %w", err)
			}
			return n, err
		}
		for k, v := range one.values {
			if err := f.add(k, kindNumber, string(v), true); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func pairs(file []byte, f *flat) (int, error) {
	n := 0
	for rest := string(file); rest != ""; {
		line, more, _ := strings.Cut(rest, "\n")
		rest = more
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := pairLine(line, f); err != nil {
			return n, err
		}
	}
	return n, nil
}

func pairLine(line string, f *flat) error {
	i := strings.IndexAny(line, "=:")
	if i <= 0 {
		return fmt.Errorf("%q is not k=v", shortWord(line))
	}
	key, value := strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])
	if isNumber(value) || !strings.Contains(value, "=") {
		if strings.ContainsAny(key, " \t") && !isNumber(value) {
			return fmt.Errorf("%q is not k=v", shortWord(line))
		}
		return f.add(strings.Trim(key, `"'`), kindString, strings.Trim(value, `"'`), true)
	}
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == ';' }) {
		k, v, ok := strings.Cut(word, "=")
		if !ok || k == "" {
			continue // a word of a log line: "epoch 3: loss=0.1"
		}
		if err := f.add(k, kindString, v, true); err != nil {
			return err
		}
	}
	return nil
}

func table(file []byte, tabs bool, f *flat) (int, error) {
	r := csv.NewReader(bytes.NewReader(file))
	r.ReuseRecord, r.TrimLeadingSpace = true, true
	if tabs {
		r.Comma = '\t'
	}
	header, err := r.Read()
	if err != nil {
		return csvLine(err, 1), csvCause(err)
	}
	header = append([]string{}, header...)
	seen := map[string]bool{}
	for _, h := range header {
		if h = strings.TrimSpace(h); h != "" && seen[h] {
			return 1, fmt.Errorf("the column %q stands twice", shortWord(h))
		} else {
			seen[h] = true
		}
	}
	last := make([]string, len(header))
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return csvLine(err, 0), csvCause(err)
		}
		for i, cell := range row {
			if cell = strings.TrimSpace(cell); cell != "" {
				last[i] = strings.Clone(cell)
			}
		}
	}
	for i, h := range header {
		if h = strings.TrimSpace(h); h != "" {
			if err := f.add(h, kindString, last[i], false); err != nil {
				return 1, err
			}
		}
	}
	return 0, nil
}

func csvLine(err error, otherwise int) int {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return p.Line
	}
	return otherwise
}

func csvCause(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

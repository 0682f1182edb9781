package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

func declareOutput(o OutputRef, dir, root string) schema.Output {
	uri, _ := redact.URL(o.URI)
	out := schema.Output{Name: o.Name, URI: schema.Text(uri)}
	if localPath(o.URI, dir) != "" {
		path := process.PathOf(plainPath(o.URI), dir, root)
		out.Path = &path
	}
	return out
}

// signature tells whether an output was written: it differs as soon as any file of it was.
type signature struct {
	exists bool
	sum    [32]byte
}

// maxSignedEntries bounds the walk over an output directory that exists before the run; beyond it "stale" is not judged.
const maxSignedEntries = 1_000_000

// signatures are of the outputs as they are before the command starts.
func signatures(outputs []schema.Output, metrics *schema.Path) map[string]signature {
	signed := map[string]signature{}
	for _, o := range outputs {
		if o.Path != nil {
			signed[o.Name] = sign(string(o.Path.Located))
		}
	}
	if metrics != nil {
		signed[metricsSignature] = sign(string(metrics.Located))
	}
	return signed
}

// metricsSignature is the key of the metrics file among the signatures; no output can have the name.
const metricsSignature = "(metrics)"

// sign takes sizes and times, not contents: only "was it written at all?" is asked.
func sign(path string) signature {
	info, err := os.Stat(path)
	if err != nil {
		return signature{}
	}
	hash := sha256.New()
	add := func(name string, info fs.FileInfo) {
		fmt.Fprintf(hash, "%q %v %d %d ", name, info.Mode(), info.Size(), info.ModTime().UnixNano())
		for _, n := range changeStamp(info) {
			_ = binary.Write(hash, binary.LittleEndian, n)
		}
	}
	add(".", info)
	entries := 0
	if info.IsDir() {
		_ = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
			if entries++; entries > maxSignedEntries {
				return filepath.SkipAll
			}
			if err != nil {
				return nil
			}
			if info, err := d.Info(); err == nil {
				add(at, info)
			}
			return nil
		})
	}
	return signature{exists: entries <= maxSignedEntries, sum: [32]byte(hash.Sum(nil))}
}

// collect hashes what a command wrote and reads its metrics. A failure is a reason, never an error: the command is over.
func (r *Recorder) collect(ctx context.Context, declared []schema.Output, metricsFile *schema.Path, before map[string]signature, sink schema.BlobSink) (outputs []schema.Output, metrics map[string]schema.Text, reasons []schema.Reason) {
	for _, o := range declared {
		if o.Path == nil {
			o.Reasons = append(o.Reasons, schema.Reason{Code: "not-hashed", Subject: o.URI, Text: "only local paths are hashed"})
			outputs = append(outputs, o)
			continue
		}
		at := string(o.Path.Located)
		was := before[o.Name]
		o.Stale = was.exists && sign(at) == was
		if was.exists && !o.Stale {
			o.Reasons = append(o.Reasons, schema.Reason{Code: "existed-before", Subject: o.Path.Typed, Text: "it existed before the run; if the command read it, that is an input which is not recorded"})
		}
		found, err := r.Outputs.HashOutput(ctx, at, sink)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			o.Missing, o.Stale = true, false
			o.Reasons = append(o.Reasons, schema.Reason{Code: "missing", Subject: o.Path.Typed, Text: errNoSuchOutput.Error()})
			r.warnf("output %s: %s: %v", o.Name, o.Path.Typed, errNoSuchOutput)
		case err != nil:
			o.Reasons = append(o.Reasons, schema.Reason{Code: "unreadable", Subject: o.Path.Typed, Text: err.Error()})
			r.warnf("output %s: %v", o.Name, err)
		default:
			o.ContentDigest, o.DigestKind, o.SidecarDigest, o.FileDigest = found.ContentDigest, found.DigestKind, found.SidecarDigest, found.FileDigest
			o.Directory, o.Bytes, o.Files, o.Manifest = found.Directory, found.Bytes, found.Files, found.Manifest
			if o.Stale {
				r.warnf("output %s: %s was there before and the run did not write it", o.Name, o.Path.Typed)
			}
		}
		outputs = append(outputs, o)
	}
	if metricsFile != nil {
		var err error
		if was := before[metricsSignature]; was.exists && sign(string(metricsFile.Located)) == was {
			reasons = append(reasons, schema.Reason{Code: "metrics-stale", Subject: metricsFile.Typed, Text: "it was there before and the run did not write it, so its metrics are not the run's"})
			r.warnf("metrics: %s was there before and the run did not write it", metricsFile.Typed)
		} else if metrics, err = readMetrics(string(metricsFile.Located)); err != nil {
			reasons = append(reasons, schema.Reason{Code: "metrics-unread", Subject: metricsFile.Typed, Text: err.Error()})
			r.warnf("metrics: %v", err)
		}
	}
	return outputs, metrics, reasons
}

// maxMetricsBytes bounds a metrics file: it holds a number for each name, not a history.
const maxMetricsBytes = 1 << 20

func readMetrics(path string) (map[string]schema.Text, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxMetricsBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxMetricsBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxMetricsBytes)
	}
	return process.ParseMetrics(data, filepath.Base(path))
}

// HashOutputs gives the digests of outputs that something else wrote, and the blobs that go with them, which can be read until done is called. All that are missing
// or unreadable are named.
func (r *Recorder) HashOutputs(ctx context.Context, refs []OutputRef, dir string) (hashed []schema.Output, blobs []schema.Blob, done func(), err error) {
	staged := newStaging()
	var outputs []schema.Output
	var failures []error
	for _, ref := range refs {
		o := declareOutput(ref, dir, r.CodeRoot(dir))
		if o.Path != nil {
			found, err := r.Outputs.HashOutput(ctx, string(o.Path.Located), staged)
			if err != nil {
				failures = append(failures, &schema.Error{Op: "recorder.output", Kind: schema.Invalid, Subject: "output " + o.Name, Err: err, Hint: "give the path of a file or directory that exists"})
				continue
			}
			found.Name, found.URI, found.Path = o.Name, o.URI, o.Path
			o = found
		}
		outputs = append(outputs, o)
	}
	return outputs, staged.take(), staged.close, errors.Join(failures...)
}

// CollectOutputs hashes the declared outputs of a run that something else ran where they can be read, and reads its metrics. The blobs can be read until done is
// called. A failure is a reason.
func (r *Recorder) CollectOutputs(ctx context.Context, run schema.Run) (found schema.OutputEvent, blobs []schema.Blob, reasons []schema.Reason, done func()) {
	staged := newStaging()
	outputs, metrics, reasons := r.collect(ctx, run.DeclaredOutputs, run.MetricsFile, map[string]signature{}, staged)
	return schema.OutputEvent{Outputs: outputs, Metrics: metrics}, staged.take(), reasons, staged.close
}

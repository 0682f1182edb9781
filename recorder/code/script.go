package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// scriptEndings are what the file that an interpreter is given usually ends in.
var scriptEndings = []string{".py", ".sh", ".bash", ".r", ".jl", ".pl", ".rb", ".js", ".mjs", ".ts", ".lua", ".m", ".ipynb", ".do", ".sas", ".scala"}

// resolveScript records the content of the script of a command outside of a repository.
func (r *Resolver) resolveScript(ctx context.Context, req recorder.CodeRequest, given string) (schema.CodePin, error) {
	pin := schema.CodePin{Name: req.Name, Kind: schema.CodeScript, Ref: schema.Text(req.Ref), Use: schema.Observed,
		Origin: schema.Origin{Kind: schema.FromContent, At: r.now()}}
	typed, path := given, given
	if given == "" {
		typed, path = findScript(req)
	} else {
		typed = req.Ref
	}
	if path == "" {
		pin.Reasons = append(pin.Reasons, schema.Reason{Code: "no-code", Text: "there is no git repository here, and no argument of the command is a file"})
		return pin, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > r.opts.MaxBytes {
		return pin, unpinnable(typed, fmt.Errorf("the script holds %s, more than the %s that a record keeps", humanBytes(info.Size()), humanBytes(r.opts.MaxBytes)), "name the code with --code DIR, or --no-code")
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return pin, unpinnable(typed, err, "")
	}
	content, info, err := readStable(real)
	if err != nil {
		return pin, unpinnable(typed, fmt.Errorf("cannot be read: %w", err), "make it readable")
	}
	if finding, found := redact.Content(content); found {
		return pin, unpinnable(typed, fmt.Errorf("the script holds a secret (%s), which a record does not keep", finding), "move the secret to a variable or to a file of its own")
	}
	ref := schema.BlobRef{Kind: schema.BlobFile, Digest: schema.SHA256(content), Bytes: int64(len(content))}
	if req.Sink != nil {
		if ref, err = req.Sink.PutBlob(ctx, schema.BlobFile, bytes.NewReader(content)); err != nil {
			return pin, err
		}
	}
	mode := "100644"
	if info.Mode()&0o100 != 0 {
		mode = "100755"
	}
	where := schema.Path{Typed: schema.Text(typed), Base: schema.BaseAbsolute, Located: schema.Text(path)}
	if rel, err := filepath.Rel(req.WorkDir, path); err == nil && filepath.IsLocal(rel) {
		where.Base, where.Rel = schema.BaseWorkDir, schema.Text(filepath.ToSlash(rel))
	}
	pin.Script = &schema.ScriptFile{Path: where, Blob: ref, Mode: mode}
	return pin, nil
}

// findScript gives the argument that names the script, as typed and absolute: the first file with a script's ending or a #! line, else
// the first text file, else the program itself when it is a script named by a path. Declared data and outputs are passed over.
func findScript(req recorder.CodeRequest) (typed, path string) {
	if len(req.Command) == 0 {
		return "", ""
	}
	var plain [2]string
	for i, arg := range req.Command {
		if i == 0 && !strings.ContainsAny(arg, `/\`) || arg == "" || strings.HasPrefix(arg, "-") || len(arg) > 4096 {
			continue
		}
		at := arg
		if !filepath.IsAbs(at) {
			at = filepath.Join(req.WorkDir, at)
		}
		info, err := os.Stat(at)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if slices.ContainsFunc(req.Exclude, func(e recorder.Excluded) bool {
			return at == filepath.Clean(e.Path) || strings.HasPrefix(at, filepath.Clean(e.Path)+string(filepath.Separator))
		}) {
			continue
		}
		head, err := readHead(at)
		text := err != nil || bytes.IndexByte(head, 0) < 0
		switch {
		case i == 0 && !bytes.HasPrefix(head, []byte("#!")):
			if plain[1] == "" && text && slices.Contains(scriptEndings, strings.ToLower(filepath.Ext(at))) {
				plain = [2]string{arg, at}
			}
		case slices.Contains(scriptEndings, strings.ToLower(filepath.Ext(at))), bytes.HasPrefix(head, []byte("#!")):
			if i == 0 {
				return arg, at
			}
			return arg, at
		case text && plain[1] == "":
			plain = [2]string{arg, at}
		}
	}
	return plain[0], plain[1]
}

func readHead(path string) ([]byte, error) {
	f, err := openNoFollowTarget(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 8192)
	n, err := f.Read(head)
	if n == 0 && err != nil && !errors.Is(err, os.ErrClosed) {
		return nil, nil
	}
	return head[:n], nil
}

func openNoFollowTarget(path string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	return openNoFollow(real)
}

package rerun

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// writeSecretFiles puts the files that were withheld from the record where the run had them.
func (p *Prepared) writeSecretFiles(dir string) error {
	for i, c := range p.Code {
		if i > 0 {
			continue
		}
		for _, x := range c.Excluded {
			if x.Why != schema.ExcludedSecret {
				continue
			}
			rel := filepath.FromSlash(string(x.Path))
			if !filepath.IsLocal(rel) {
				return &schema.Error{Op: "rerun.restore", Kind: schema.Invalid, Subject: string(x.Path), Err: fmt.Errorf("the path of a withheld file leaves the code")}
			}
			at := filepath.Join(p.Root, rel)
			if err := mkdirInside(filepath.Dir(at), dir); err != nil {
				return err
			}
			file, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = file.WriteString(p.Secrets[string(x.Path)] + "\n")
			if closeErr := file.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// linkInterpreter lets a command that names its program by a path in the checkout which is no code (.venv/bin/python) find the one that is there now. It is
// part of the environment, not of the code: the record of the new run says so, and what is installed in it is compared.
func (p *Prepared) linkInterpreter(dir string) {
	if len(p.Template) == 0 { // a batch script
		return
	}
	program := p.Template[0]
	program = strings.TrimPrefix(program, "{code_root}/")
	if p.Of.WorkDir == nil || filepath.IsAbs(program) || !strings.ContainsRune(program, '/') || !filepath.IsLocal(filepath.FromSlash(program)) {
		return
	}
	here, there := p.commandDir(), string(p.Of.WorkDir.Located)
	if program != p.Template[0] {
		here, there = p.Root, p.originalRoot()
	}
	if _, err := os.Stat(filepath.Join(there, program)); err != nil || there == "" {
		return
	}
	for _, part := range strings.Split(filepath.ToSlash(program), "/") {
		here, there = filepath.Join(here, part), filepath.Join(there, part)
		if _, err := os.Lstat(here); err == nil {
			continue
		}
		if mkdirInside(filepath.Dir(here), dir) != nil || os.Symlink(there, here) != nil {
			return
		}
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "program-elsewhere", Subject: schema.Text(program), Text: "it is no part of the recorded code; the one that is there now was used"})
		return
	}
}

// originalRoot is where the code of the original lay.
func (p *Prepared) originalRoot() string {
	if len(p.Of.Code) > 0 && p.Of.Code[0].Root != nil {
		return string(p.Of.Code[0].Root.Located)
	}
	if p.Of.WorkDir != nil {
		return string(p.Of.WorkDir.Located)
	}
	return ""
}

// moveEnvironment points variables that name the original's checkout (PYTHONPATH, PWD) to the restored code: a rerun must not import what was edited since.
func (p *Prepared) moveEnvironment(replaceRoot func(text, old, new string) string) {
	old := p.originalRoot()
	if old == "" {
		return
	}
	for i, kv := range p.Environ {
		name, value, _ := strings.Cut(kv, "=")
		p.Environ[i] = name + "=" + replaceRoot(value, old, p.Root)
	}
}

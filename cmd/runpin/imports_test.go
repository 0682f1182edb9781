package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/runpin/runpin"

// room says what the packages below one folder may import of this module, and which outside packages are barred to it. The row with
// the longest matching path rules. A package may always import what lies below its own folder's row, and its own test kit.
type room struct {
	path   string
	may    []string // folders of this module, each with everything below it; "=x" means x alone
	barred []string // import paths outside this module, each with everything below it
	std    bool     // the standard library only
	extra  []string // what tests may import besides
}

// network is what only a launcher may use in rerun (DESIGN §2): printing a spec needs neither network nor data.
var network = []string{"net", "net/http", "net/rpc", "github.com/google/go-containerregistry/pkg/v1/remote"}

// terminal is what belongs to whoever talks to the user.
var terminal = []string{"github.com/urfave/cli", "github.com/schollz/progressbar"}

// rooms is the direction of DESIGN §2, as a table. Below recorder, registry and git are the two clients that several rooms share, redact is
// what keeps secrets out of each of them; process, redact and, in rerun, jobspec are used by the orchestration and know nothing of it.
var rooms = []room{
	{path: "schema", std: true, extra: []string{"github.com/google/go-cmp", "github.com/santhosh-tekuri/jsonschema"}},
	{path: "recorder", may: []string{"schema", "recorder/process", "recorder/redact"}, barred: terminal},
	{path: "recorder/redact", may: []string{"schema"}, barred: terminal},
	{path: "recorder/process", may: []string{"schema", "recorder/redact"}, barred: terminal},
	{path: "recorder/registry", may: []string{"schema", "=recorder", "recorder/redact"}, barred: terminal},
	{path: "recorder/git", may: []string{"schema", "=recorder", "recorder/redact"}, barred: terminal},
	{path: "recorder/image", may: []string{"schema", "=recorder", "recorder/redact", "recorder/registry"}, barred: terminal},
	{path: "recorder/code", may: []string{"schema", "=recorder", "recorder/redact", "recorder/git"}, barred: terminal},
	{path: "recorder/dataset", may: []string{"schema", "=recorder", "recorder/redact", "recorder/registry", "recorder/git"}, barred: terminal},
	{path: "recorder/environment", may: []string{"schema", "=recorder", "recorder/redact"}, barred: terminal},
	{path: "recorder/collect", may: []string{"schema", "recorder/process", "recorder/redact"}, barred: terminal},
	{path: "recorder/mlflow", may: []string{"schema", "=recorder", "recorder/redact"}, barred: terminal},
	{path: "recorder/release", may: []string{"schema", "=recorder", "recorder/registry"}, barred: terminal},
	{path: "store", may: []string{"schema"}, barred: terminal},
	{path: "rerun", may: []string{"schema", "rerun/jobspec", "=rerun/launch"}, barred: slices.Concat(terminal, network)},
	{path: "rerun/jobspec", may: []string{"schema"}, barred: slices.Concat(terminal, network)},
	{path: "rerun/render", may: []string{"schema", "rerun/jobspec"}, barred: slices.Concat(terminal, network)},
	{path: "rerun/launch", may: []string{"schema"}, barred: terminal},
	{path: "cmd/runpin", may: []string{"schema", "recorder", "store", "rerun"}},
}

// TestImportDirection reads the imports of every package, its tests included, as each supported system would build it.
func TestImportDirection(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, p := range listPackages(t, goos) {
			from := strings.TrimPrefix(p.ImportPath, module+"/")
			for _, to := range p.Imports {
				if why := forbidden(from, to, false); why != "" {
					t.Errorf("%s (GOOS=%s) imports %s: %s", from, goos, to, why)
				}
			}
			for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
				if why := forbidden(from, to, true); why != "" {
					t.Errorf("a test of %s (GOOS=%s) imports %s: %s", from, goos, to, why)
				}
			}
		}
	}
}

// TestForbiddenEdges holds the checker itself to examples: a table that forbids nothing would pass every tree.
func TestForbiddenEdges(t *testing.T) {
	own := func(p string) string { return module + "/" + p }
	for _, c := range []struct {
		from, to string
		test, ok bool
	}{
		{"schema", "encoding/json", false, true},
		{"schema", "github.com/google/go-cmp/cmp", true, true},
		{"schema", "github.com/google/go-cmp/cmp", false, false},
		{"schema", "golang.org/x/mod/sumdb/dirhash", false, false},
		{"schema", own("recorder"), false, false},
		{"recorder", own("schema"), false, true},
		{"recorder", own("store"), false, false},
		{"recorder", own("recorder/redact"), false, true},
		{"recorder/redact", own("recorder"), false, false},
		{"recorder", own("recorder/image"), false, false},
		{"recorder/image", own("recorder"), false, true},
		{"recorder/image", own("recorder/registry"), false, true},
		{"recorder/image", own("recorder/code"), false, false},
		{"recorder/code", own("rerun"), false, false},
		{"recorder/dataset/path", own("recorder/dataset"), false, true},
		{"recorder/dataset/all", own("recorder/dataset/path"), false, true},
		{"recorder/dataset/path", own("recorder/dataset/datasettest"), true, true},
		{"store/sqlite", own("store"), false, true},
		{"store", own("store/sqlite"), true, true},
		{"store/http", own("recorder"), false, false},
		{"store", "github.com/urfave/cli/v2", false, false},
		{"rerun", own("schema"), false, true},
		{"rerun", own("rerun/jobspec"), false, true},
		{"rerun/jobspec", own("rerun"), false, false},
		{"rerun", own("recorder/image"), false, false},
		{"rerun", own("store"), true, false},
		{"rerun", "net/http", false, false},
		{"rerun", "net/url", false, true},
		{"rerun/jobspec", "net/http", false, false},
		{"rerun/launch/kubernetes", "net/http", false, true},
		{"rerun/launch/local", own("recorder/process"), false, false},
		{"cmd/runpin", own("recorder/dataset/all"), false, true},
		{"cmd/runpin/web", own("store"), false, true},
		{"store", own("cmd/runpin"), true, false},
		{"helpers", "fmt", false, false},
		{"recorder/util", "fmt", false, false},
	} {
		if why := forbidden(c.from, c.to, c.test); (why == "") != c.ok {
			t.Errorf("%s → %s (test: %v): got %q, want allowed: %v", c.from, c.to, c.test, why, c.ok)
		}
	}
}

// forbidden says why the package from (relative to the module) may not import to, or "".
func forbidden(from, to string, test bool) string {
	rule, ok := roomOf(from)
	switch {
	case !ok:
		return "its folder is in no room of DESIGN §2; find it a place, or add a row to the table in imports_test.go"
	case slices.ContainsFunc(strings.Split(from, "/"), isVague):
		return "a folder is named after its subject (STYLE 5), not " + path.Base(from)
	}
	if dep, ours := strings.CutPrefix(to, module+"/"); ours {
		if rule.path != "recorder" && rule.path != "rerun" && below(dep, rule.path) || dep == from || below(dep, from) && test {
			return ""
		}
		for _, may := range rule.may {
			if alone, exact := strings.CutPrefix(may, "="); exact && dep == alone || !exact && below(dep, may) {
				return ""
			}
		}
		return fmt.Sprintf("%s may import of this module only %s", rule.path, strings.Join(rule.may, ", "))
	}
	if test && slices.ContainsFunc(rule.extra, func(p string) bool { return below(to, p) }) {
		return ""
	}
	if first, _, _ := strings.Cut(to, "/"); rule.std && strings.Contains(first, ".") {
		return rule.path + " imports the standard library only"
	}
	if test { // A test may talk to a server of its own and print what it likes.
		return ""
	}
	for _, b := range rule.barred {
		if to == b || strings.Contains(b, ".") && below(to, b) {
			return fmt.Sprintf("%s does not use %s", rule.path, b)
		}
	}
	return ""
}

// roomOf gives the row that rules a package. The packages of recorder itself and of rerun itself have a row of their own; a folder below
// them needs one too.
func roomOf(pkg string) (room, bool) {
	var found room
	for _, r := range rooms {
		exact := r.path == "recorder" || r.path == "rerun" || r.path == "schema"
		if (pkg == r.path || !exact && below(pkg, r.path)) && len(r.path) > len(found.path) {
			found = r
		}
	}
	return found, found.path != ""
}

func below(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func isVague(folder string) bool {
	return slices.Contains([]string{"util", "utils", "common", "helpers", "types", "pkg", "misc", "internal"}, folder)
}

type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listPackages goes on past a package that does not compile (-e): that is for the compiler to say.
func listPackages(t *testing.T, goos string) []listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list names no package")
	}
	return all
}

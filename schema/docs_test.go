package schema

import (
	"crypto/sha256"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestRecordPage computes every digest that docs/record.md shows, as its reader would.
func TestRecordPage(t *testing.T) {
	page, err := os.ReadFile("../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile(`(?m)^    printf '([^']*)'(.*) \| sha256sum\n    ([0-9a-f]{64})  -$`).FindAllStringSubmatch(string(page), -1)
	if len(examples) != 4 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		said := strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(e[1])
		args := strings.Fields(e[2])
		if e[1] == "%s" {
			args = []string{strings.Trim(strings.TrimSpace(e[2]), "'")} // one quoted argument
		}
		for _, arg := range args {
			said = strings.Replace(said, "%s", arg, 1)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(said))); got != e[3] {
			t.Errorf("the digest of %q is %s, the page says %s", said, got, e[3])
		}
	}
	for _, name := range []string{"document-note.json", "fingerprint-host.json"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "'"+string(b)+"'") {
			t.Errorf("the page does not show %s", name)
		}
	}
	for _, kind := range documentKinds {
		if !strings.Contains(string(page), "`"+string(kind)+"`") {
			t.Errorf("the page does not name documents of kind %s", kind)
		}
	}
	for _, kind := range sets[reflect.TypeFor[BlobKind]()].values {
		if !strings.Contains(string(page), "`"+kind+"`") {
			t.Errorf("the page does not name blobs of kind %s", kind)
		}
	}
}

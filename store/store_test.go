package store

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/restic/chunker"

	"github.com/runpin/runpin/schema"
)

func TestChunkPolynomial(t *testing.T) {
	if p := chunker.Pol(chunkPolynomial); !p.Irreducible() || p.Deg() != 53 {
		t.Errorf("%v is of degree %d", p, p.Deg())
	}
	if chunkPolynomial != 0x3f7a53b7c6e1af {
		t.Error("with another polynomial, new versions of stored blobs share nothing with old ones")
	}
}

func TestDecompressBounds(t *testing.T) {
	bomb := encoder().EncodeAll(make([]byte, 8<<20), nil)
	for _, size := range []int64{0, 10, inlineBytes, inlineBytes + 1, -1, math.MaxInt64} {
		if _, err := decompress(bomb, size); err == nil {
			t.Errorf("8 MiB pass for %d bytes", size)
		}
	}
	b := bytes.Repeat([]byte("x"), inlineBytes)
	if got, err := decompress(compress(b), inlineBytes); err != nil || !bytes.Equal(got, b) {
		t.Error(err)
	}
}

func TestSameNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"0.1", "1e-1", true}, {"0.10", "0.1", true}, {"+1", "1", true}, {"1.", "1.0", true}, {".5", "0.5", true}, {"0", "-0", true}, {"0e99", "0", true}, {"100", "1e2", true}, {"1E+2", "100", true},
		{"-1", "1", false}, {"9007199254740993", "9007199254740992", false}, {"1e999999999", "1e999999999", false}, {"", "", false}, {".", ".", false}, {"NaN", "NaN", false}, {"0x10", "16", false}, {"1e", "1", false},
	} {
		if got := sameNumber(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %v", c.a, c.b, got)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]any{"1": 1.0, "1e3": 1000.0, "+Inf": math.Inf(1), "-inf": math.Inf(-1), "1e999": math.Inf(1), "NaN": nil, "nan": nil, "": nil, "x": nil, " 1": nil, strings.Repeat("9", 65): nil} {
		if got := number(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzIndexText(f *testing.F) {
	f.Add("x", "y")
	f.Add("\xff", "\x01b64:/w==")
	f.Add(strings.Repeat("ä", 2000), "\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := indexText(a), indexText(b)
		if len(x) > maxTermBytes || strings.IndexByte(x, 0) >= 0 {
			t.Errorf("%q", x)
		}
		if (a == b) != (x == y) && !strings.HasPrefix(a, "\x01") && !strings.HasPrefix(b, "\x01") && len(a) <= keptTermBytes && len(b) <= keptTermBytes {
			t.Errorf("%q and %q become %q and %q", a, b, x, y)
		}
	})
}

func TestRunKeyOrders(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	early, late := schema.NewRunID(at), schema.NewRunID(at.Add(time.Millisecond))
	if runKey(schema.At(at), early) >= runKey(late.Time(), late) {
		t.Error("a run that was created later does not come later")
	}
	if got := keyTime(runKey(schema.At(at), early)); !got.Equal(at) {
		t.Error(got)
	}
	last, err := schema.ParseTime("9999-12-31T23:59:59.999Z")
	if err != nil || runKey(last, early) <= 0 || runKey(schema.Time{}, early) < 0 || runKey(schema.At(time.Unix(-5, 0)), early) < 0 {
		t.Error("a key is out of range")
	}
}

func TestMigrationsArePaired(t *testing.T) {
	names, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string][]string{}
	for _, n := range names {
		parts := strings.Split(n.Name(), ".")
		if len(parts) != 3 || parts[2] != "sql" {
			t.Fatalf("%s is not called NNNN_what.dialect.sql", n.Name())
		}
		versions[parts[1]] = append(versions[parts[1]], parts[0])
	}
	for dialect, steps := range versions {
		if !slices.Equal(steps, versions["sqlite"]) {
			t.Errorf("%s has %v, sqlite has %v", dialect, steps, versions["sqlite"])
		}
		if _, err := migrationsOf(dialect); err != nil {
			t.Error(err)
		}
	}
}

func TestAlive(t *testing.T) {
	self := CurrentLease(10 * time.Second)
	if self.PID != os.Getpid() || self.Interval != 10 {
		t.Errorf("%+v", self)
	}
	now := time.Now()
	long := schema.At(now.Add(-24 * time.Hour))
	if self.ProcessStart == "" {
		t.Skip("this system does not tell when a process was started")
	}
	if !Alive(self, long, now) {
		t.Error("this process is not alive")
	}
	for what, change := range map[string]func(*schema.Lease){
		"host":      func(l *schema.Lease) { l.Host = "elsewhere" },
		"boot":      func(l *schema.Lease) { l.BootID = "another" },
		"namespace": func(l *schema.Lease) { l.PIDNamespace = "pid:[1]" },
		"no start":  func(l *schema.Lease) { l.ProcessStart = "" },
		"no pid":    func(l *schema.Lease) { l.PID = 0 },
	} {
		l := self
		change(&l)
		if Alive(l, long, now) {
			t.Errorf("%s: alive after a day of silence", what)
		}
		if !Alive(l, schema.At(now.Add(-time.Minute)), now) {
			t.Errorf("%s: lost after a minute", what)
		}
		if Alive(l, schema.Time{}, now) {
			t.Errorf("%s: alive without a beat", what)
		}
	}
	reused := self
	reused.ProcessStart += "1"
	if Alive(reused, schema.At(now), now) {
		t.Error("another process with the same pid counts")
	}
	// A process that has ended.
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	gone := self
	gone.PID = child.Process.Pid
	start, known := processStart(gone.PID)
	if !known {
		t.Fatal("nothing is known of a child")
	}
	_ = child.Wait()
	if gone.ProcessStart = start; gone.ProcessStart != "" && Alive(gone, schema.At(now), now) {
		t.Error("a process that has ended counts")
	}
}

func FuzzListing(f *testing.F) {
	digest := strings.Repeat("a", 64)
	f.Add([]byte(digest + "  a/b\n"))
	f.Add([]byte(`{"schema":"runpin.dev/changes/v1","tree":"` + digest[:40] + `","files":[{"path":"x"}]}`))
	f.Add([]byte("{"))
	f.Add([]byte(digest + "  no end"))
	f.Fuzz(func(t *testing.T, b []byte) {
		numbers, err := parseListing(bytes.NewReader(b))
		if err == nil && (!slices.IsSorted(numbers) || len(numbers) > 2*MaxListingLines) {
			t.Error(numbers)
		}
	})
}

func TestListingLimits(t *testing.T) {
	line := strings.Repeat("a", 64) + "  x\n"
	if _, err := parseListing(strings.NewReader(strings.Repeat(line, MaxListingLines))); err != nil {
		t.Error(err)
	}
	if _, err := parseListing(strings.NewReader(strings.Repeat(line, MaxListingLines+1))); err != errTooLong {
		t.Error(err)
	}
}

// FuzzFilter: whatever a user types, it becomes tests or an error of kind Invalid.
func FuzzFilter(f *testing.F) {
	f.Add("sha256:abcdef12", "loss<0.1")
	f.Add("a@b", "=")
	f.Fuzz(func(t *testing.T, text, metric string) {
		for _, filter := range []Filter{{Image: text}, {Commit: text}, {Dataset: text}, {Output: text}, {Labels: []string{text}}, {Status: schema.Status(text)}, {Sort: text}} {
			if _, err := filter.tests(); err != nil && schema.KindOf(err) != schema.Invalid {
				t.Errorf("%q: %v", text, err)
			}
		}
		if c, err := metricTest(metric); err == nil && strings.Count(c.rows, "$?") != len(c.args) {
			t.Errorf("%q: %+v", metric, c)
		} else if err != nil && schema.KindOf(err) != schema.Invalid {
			t.Errorf("%q: %v", metric, err)
		}
	})
}

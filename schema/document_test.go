package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the JSON schemas anew")

// golden compares with testdata/name, or writes it under -update. A golden document is a promise: records out there have that form.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is kept:\ngot  %s\nwant %s", path, got, want)
	}
}

func TestGoldenDocuments(t *testing.T) {
	seen := map[DocumentKind]int{}
	for _, d := range fixtureDocuments() {
		b, err := d.Encode()
		if err != nil {
			t.Fatalf("%s: %v", d.Kind, err)
		}
		name := string(d.Kind)
		if seen[d.Kind]++; seen[d.Kind] > 1 {
			name += "-" + string('0'+rune(seen[d.Kind]))
		}
		golden(t, "document-"+name+".json", b)
		back, err := DecodeDocument(b)
		if err != nil {
			t.Fatalf("%s: %v", d.Kind, err)
		}
		if !reflect.DeepEqual(back, d) {
			t.Errorf("%s: decoding what was encoded gives another document", d.Kind)
		}
		if back.Verbatim != nil {
			t.Errorf("%s: taken for a newer version's", d.Kind)
		}
	}
	for _, kind := range documentKinds {
		if seen[kind] == 0 {
			t.Errorf("no golden document of kind %s", kind)
		}
	}
}

// TestGoldenDocumentsStayReadable reads what is kept in testdata, whatever the fixture says today.
func TestGoldenDocumentsStayReadable(t *testing.T) {
	paths, _ := filepath.Glob("testdata/document-*.json")
	if len(paths) < len(documentKinds) {
		t.Fatalf("only %d golden documents", len(paths))
	}
	var docs []Document
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := DecodeDocument(b)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		docs = append(docs, d)
	}
	r := foldFixture(t, docs)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "run.json", append(b, '\n'))
}

func encoded(t *testing.T, d Document) string {
	t.Helper()
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// replaced changes a document and brings it into the canonical form again.
func replaced(t *testing.T, doc, from, to string) string {
	t.Helper()
	if !strings.Contains(doc, from) {
		t.Fatalf("the document does not hold %s", from)
	}
	b, err := CanonicalBytes([]byte(strings.Replace(doc, from, to, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fixtureOf(kind DocumentKind) Document {
	for _, d := range fixtureDocuments() {
		if d.Kind == kind {
			return d
		}
	}
	panic(kind)
}

func TestDecodeRefuses(t *testing.T) {
	note := encoded(t, fixtureOf(KindNote))
	status := encoded(t, fixtureOf(KindStatus))
	base := encoded(t, fixtureOf(KindRun))
	noteID := string(fixtureOf(KindNote).ID)
	for name, test := range map[string]struct{ doc, from, to, want string }{
		"not JSON":               {"{", "", "", "expected a key"},
		"empty":                  {"", "", "", "unexpected end"},
		"an array":               {"[]", "", "", "something else belongs"},
		"null":                   {"null", "", "", "one form"},
		"a number":               {"17", "", "", "something else"},
		"trailing data":          {note + "{}", "", "", "data after"},
		"space":                  {note + "\n", "", "", "not in canonical form"},
		"another schema":         {note, SchemaV1, "runpin.dev/run/v2", "schema is"},
		"duplicate key":          {note, `"note":{`, `"note":{"by":"x",`, "twice"},
		"unsorted":               {note, `"by":"ada","text":"the one in table 2"`, `"text":"the one in table 2","by":"ada"`, "not in canonical form"},
		"lower-case id":          {note, noteID, strings.ToLower(noteID), "one form"},
		"short id":               {note, noteID, "01K", "not a run id"},
		"another time form":      {note, "2026-11-23T18:00:02.100Z", "2026-11-23T18:00:02.1Z", "one form"},
		"another zone":           {note, "2026-11-23T18:00:02.100Z", "2026-11-23T19:00:02.100+01:00", "one form"},
		"an explicit null":       {note, `"note":{"by":"ada",`, `"note":{"by":null,`, "one form"},
		"an explicit empty":      {note, `"note":{"by":"ada",`, `"note":{"by":"",`, "one form"},
		"no body":                {note, `"note":{"by":"ada","text":"the one in table 2"},`, ``, "no such body"},
		"another body":           {note, `"note":{"by":"ada","text":"the one in table 2"}`, `"label":{"set":{"a":"b"}}`, "no such body"},
		"two bodies":             {note, `"note":{`, `"label":{"set":{"a":"b"}},"note":{`, "has 2 bodies"},
		"a kind it is not":       {note, `"kind":"note"`, `"kind":"notes"`, "it has a body"},
		"a kind that is no word": {note, `"kind":"note"`, `"kind":"No te"`, "is not one of"},
		"a status never written": {status, `"to":"running"`, `"to":"lost"`, "cannot become"},
		"a status unheard of":    {status, `"to":"running"`, `"to":"paused"`, "is not one of"},
		"an event of its own":    {note, noteID, string(fixtureRun), "cannot have the id of its run"},
		"no run":                 {note, `"run":"` + string(fixtureRun) + `",`, ``, "names no run"},
		"a base of another run":  {base, `"run":"` + string(fixtureRun), `"run":"` + fixedID(1, 1), "must have the id"},
		"a digest":               {base, string(fixedDigest("3")), "sha256:3", "not a digest"},
		"a tree":                 {base, string(fixedObject("c")), "cccc", "not a full git object id"},
		"a name":                 {base, `"name":"train"`, `"name":"Train"`, "not a name"},
		"a name used twice":      {base, `"name":"base"`, `"name":"train"`, "used twice"},
		"a negative size":        {base, `"bytes":4096`, `"bytes":-1`, "not a count"},
		"a fraction":             {base, `"bytes":4096`, `"bytes":4096.0`, "not an integer"},
		"a use":                  {base, `"use":"enforced"`, `"use":"proven"`, "is not one of"},
		"a strength":             {base, `"strength":"content"`, `"strength":"strong"`, "is not one of"},
		"a role":                 {base, `"role":"model"`, `"role":"evil"`, "is not one of"},
		"a path's base":          {base, `"base":"workdir"`, `"base":"home"`, "is not one of"},
		"its own original":       {base, fixedID(-86400000, 8), string(fixtureRun), "its own parent"},
		"a param without a key":  {base, `"lr":"0.1"`, `"":"0.1"`, "1 to 1024 bytes"},
		"a blob kind":            {base, `"kind":"changes"`, `"kind":"Changes"`, "is not one of"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(test.doc, test.from, test.to, 1)
			if test.from != "" && doc == test.doc {
				t.Fatalf("the document does not hold %s", test.from)
			}
			_, err := DecodeDocument([]byte(doc))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if err != nil && KindOf(err) != Invalid {
				t.Errorf("kind is %q", KindOf(err))
			}
		})
	}
}

// What a newer version adds is passed over, never misread, and comes out again as it went in.
func TestDecodeNewer(t *testing.T) {
	note := encoded(t, fixtureOf(KindNote))
	base := encoded(t, fixtureOf(KindRun))
	for name, test := range map[string]struct{ doc, from, to string }{
		"a field":                 {note, `"schema":`, `"proof":{"a":[1,{}]},"schema":`},
		"a field inside":          {note, `"text":`, `"mood":"good","text":`},
		"a field inside a list":   {base, `"platform_digest":`, `"platform_chosen":"x","platform_digest":`},
		"a field of another case": {note, `{"at":`, `{"Label":{"set":{}},"at":`},
		"a field that shadows":    {note, `{"at":`, `{"At":"2030-01-01T00:00:00.000Z","at":`},
		"an origin":               {base, `"kind":"provider"`, `"kind":"attestation"`},
		"a digest kind":           {base, `"digest_kind":"dirhash-h1"`, `"digest_kind":"dirhash-h2"`},
	} {
		t.Run(name, func(t *testing.T) {
			in := replaced(t, test.doc, test.from, test.to)
			d, err := DecodeDocument([]byte(in))
			if err != nil {
				t.Fatal(err)
			}
			if d.Label != nil || d.At.Time().Year() != 2026 {
				t.Error("a key of another case was taken for a known one")
			}
			if out := encoded(t, d); out != in {
				t.Errorf("went in as\n%s\ncame out as\n%s", in, out)
			}
			d.At = fixedTime(7)
			if _, err := d.Encode(); KindOf(err) != Conflict {
				t.Errorf("a changed document of a newer version: %v", err)
			}
		})
	}
}

// A struct that is left out when empty, of which everything is new, counts as left out.
func TestDecodeNewerEmpty(t *testing.T) {
	d := fixtureOf(KindObservation)
	d.Observation.Environment.OS = OS{}
	in := replaced(t, encoded(t, d), `"node":"node-1",`, `"node":"node-1","os":{"codename":"bookworm"},`)
	got, err := DecodeDocument([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if out := encoded(t, got); out != in {
		t.Errorf("came out as %s", out)
	}
}

func TestUnknownKind(t *testing.T) {
	in := strings.NewReplacer(`"kind":"note"`, `"kind":"sealing"`, `"note":{`, `"sealing":{`).Replace(encoded(t, fixtureOf(KindNote)))
	b, err := CanonicalBytes([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	d, err := DecodeDocument(b)
	if err != nil {
		t.Fatal(err)
	}
	if out := encoded(t, d); out != string(b) {
		t.Errorf("came out as %s", out)
	}
	r := foldFixture(t, []Document{fixtureOf(KindRun), d})
	want := Reason{Code: "unknown-event", Subject: "sealing", Text: "1 events of this kind were passed over: a newer version of runpin wrote them"}
	if last := r.Reasons[len(r.Reasons)-1]; last != want {
		t.Errorf("reason is %+v", last)
	}
	if _, err := (Document{Schema: SchemaV1, Kind: "sealing", ID: d.ID, Run: d.Run, At: d.At, Reporter: d.Reporter}).Encode(); err == nil {
		t.Error("this version wrote a kind that it does not know")
	}
}

// What cannot be read again must not be written.
func TestEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Document){
		"a digest":              func(d *Document) { d.Plan.Images[0].ConfigDigest = "sha256:zz" },
		"a digest left open":    func(d *Document) { d.Plan.Code[0].LFS[0].OID = "" },
		"a blob left open":      func(d *Document) { d.Plan.Code[0].Changes.Digest = "" },
		"a tree":                func(d *Document) { d.Plan.Code[0].Tree = "main" },
		"a name":                func(d *Document) { d.Plan.Datasets[0].Name = "out/lr=0.1" },
		"no use":                func(d *Document) { d.Plan.Images[0].Use = "" },
		"no role":               func(d *Document) { d.Plan.Datasets[0].Role = "" },
		"no strength":           func(d *Document) { d.Plan.Datasets[0].Strength = "" },
		"no creation":           func(d *Document) { d.Plan.Created = Time{} },
		"a time before 1970":    func(d *Document) { d.Plan.Created = At(fixtureTime.AddDate(-100, 0, 0)) },
		"a time after 9999":     func(d *Document) { d.At = At(fixtureTime.AddDate(9000, 0, 0)) },
		"an origin of no kind":  func(d *Document) { d.Plan.Images[0].Origin.Kind = "" },
		"an unknown origin":     func(d *Document) { d.Plan.Images[0].Origin.Kind = "rumour" },
		"a string not UTF-8":    func(d *Document) { d.Plan.Name = "caf\xe9" },
		"a label not UTF-8":     func(d *Document) { d.Plan.Images[0].Labels = map[string]string{"a": "\xff"} },
		"a key not UTF-8":       func(d *Document) { d.Plan.Params = map[string]Text{"\xff": "a"} },
		"a key with a newline":  func(d *Document) { d.Plan.Params = map[string]Text{"a\nb": "a"} },
		"a size below zero":     func(d *Document) { d.Plan.Datasets[0].Bytes = -1 },
		"a size beyond 2^53":    func(d *Document) { d.Plan.Datasets[0].Bytes = 1 << 60 },
		"a reason without code": func(d *Document) { d.Plan.Reasons = []Reason{{Text: "?"}} },
		"no reporter":           func(d *Document) { d.Reporter.Kind = "" },
		"an output's data set":  func(d *Document) { d.Plan.DeclaredOutputs[0].Name = "train" },
	} {
		t.Run(name, func(t *testing.T) {
			d := fixtureOf(KindRun)
			change(&d)
			if b, err := d.Encode(); KindOf(err) != Invalid {
				t.Errorf("got %v and %d bytes", err, len(b))
			}
		})
	}
}

func TestDocumentTooLarge(t *testing.T) {
	d := fixtureOf(KindNote)
	d.Note.Text = Text(strings.Repeat("x", MaxDocumentBytes))
	if _, err := d.Encode(); KindOf(err) != Invalid {
		t.Errorf("encode: %v", err)
	}
	if _, err := DecodeDocument(bytes.Repeat([]byte(" "), MaxDocumentBytes+1)); KindOf(err) != Invalid {
		t.Errorf("decode: %v", err)
	}
}

// No field may need a float, hold any or be reachable without a JSON name: the form of such a value would depend on who prints it.
func TestFieldTypes(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, path string) {
		if seen[typ] || typ == reflect.TypeFor[Time]() {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(typ.Elem(), path)
		case reflect.Map:
			if typ.Key() != reflect.TypeFor[string]() {
				t.Errorf("%s: keys are %s", path, typ.Key())
			}
			walk(typ.Elem(), path)
		case reflect.Struct:
			for i := range typ.NumField() {
				f := typ.Field(i)
				if tag := f.Tag.Get("json"); tag == "" && !f.Anonymous {
					t.Errorf("%s.%s has no JSON name", path, f.Name)
				} else if tag != "-" {
					walk(f.Type, typ.Name()+"."+f.Name)
				}
			}
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		default:
			t.Errorf("%s: %s has no place in a record", path, typ)
		}
	}
	for _, v := range []any{Document{}, Run{}, Changes{}, Availability{}} {
		walk(reflect.TypeOf(v), "")
	}
}

package schema

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The published JSON Schemas in docs/schema are made from the struct tags and the comments of this package, so they cannot lag behind it.
// They are open (additionalProperties is not forbidden): a later version may add fields, and a reader must pass over what it does not know.

const schemaDir = "../docs/schema"

var publishedSchemas = []struct {
	file, id, title string
	root            reflect.Type
}{
	{"run-v1.schema.json", "https://runpin.dev/schema/run-v1.schema.json", "A run, as `runpin show --json` prints it", reflect.TypeFor[Run]()},
	{"document-v1.schema.json", "https://runpin.dev/schema/document-v1.schema.json", "One document of a run, as it is stored", reflect.TypeFor[Document]()},
	{"changes-v1.schema.json", "https://runpin.dev/schema/changes-v1.schema.json", "How a checkout differs from its commit: a blob of kind changes", reflect.TypeFor[Changes]()},
	{"comparison-v1.schema.json", "https://runpin.dev/schema/comparison-v1.schema.json", "Two runs compared, as `runpin diff --json` prints it", reflect.TypeFor[Comparison]()},
	{"availability-v1.schema.json", "https://runpin.dev/schema/availability-v1.schema.json", "Whether one pin can still be had, as `runpin check --json` prints it", reflect.TypeFor[Availability]()},
}

// comments is what the source says about types and fields: "Type" and "Type.Field".
func comments(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			for _, spec := range gen.Specs {
				typ := spec.(*ast.TypeSpec)
				said[typ.Name.Name] = oneLine(gen.Doc.Text() + typ.Doc.Text())
				if s, ok := typ.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, n := range f.Names {
							said[typ.Name.Name+"."+n.Name] = oneLine(f.Doc.Text() + f.Comment.Text())
						}
					}
				}
			}
		}
	}
	return said
}

var docLink = regexp.MustCompile(`\[([A-Z][A-Za-z.]*)\]`)

func oneLine(comment string) string {
	return docLink.ReplaceAllString(strings.Join(strings.Fields(comment), " "), "$1")
}

// generator makes one JSON Schema.
type generator struct {
	t        testing.TB
	comments map[string]string
	defs     map[string]any
	used     map[string]bool // entries of descriptions
}

type object = map[string]any

func (g *generator) of(t reflect.Type, field string) object {
	if rule, ok := sets[t]; ok {
		return g.set(rule)
	}
	switch t {
	case reflect.TypeFor[Text]():
		return g.ref("Text", func() object {
			return object{"oneOf": []any{object{"type": "string"},
				object{"type": "object", "properties": object{"b64": object{"type": "string", "contentEncoding": "base64", "description": "standard base 64 of bytes that are not UTF-8"}},
					"required": []any{"b64"}, "additionalProperties": false}}}
		})
	case reflect.TypeFor[Time]():
		return g.pattern("Time", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$`, "date-time")
	case reflect.TypeFor[Digest]():
		return g.pattern("Digest", `^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`, "")
	case reflect.TypeFor[ObjectID]():
		return g.pattern("ObjectID", `^([0-9a-f]{40}|[0-9a-f]{64})$`, "")
	case reflect.TypeFor[RunID]():
		return g.pattern("RunID", `^[0-7][0-9A-HJKMNP-TV-Z]{25}$`, "")
	case reflect.TypeFor[DocumentID]():
		return g.pattern("DocumentID", `^[0-7][0-9A-HJKMNP-TV-Z]{25}$`, "")
	case reflect.TypeFor[Fingerprint]():
		return g.pattern("Fingerprint", `^fp1:[0-9a-f]{64}$`, "")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem(), field)
	case reflect.Slice:
		return object{"type": "array", "items": g.of(t.Elem(), field)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.of(t.Elem(), field)}
	case reflect.Struct:
		return g.ref(t.Name(), func() object { return g.structure(t) })
	case reflect.String:
		if rule, ok := plainFields[field]; ok {
			return g.set(rule)
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Int64:
		return object{"type": "integer", "minimum": 0, "maximum": maxSafeInteger}
	}
	g.t.Fatalf("%s: no JSON Schema for %s", field, t)
	return nil
}

// set: a closed one is an enum; of an open one the known values are examples, because later versions add to it.
func (g *generator) set(s set) object {
	var values []any
	for _, v := range s.values {
		values = append(values, v)
	}
	switch {
	case !s.open:
		return object{"type": "string", "enum": values}
	case len(values) == 0:
		return object{"type": "string", "pattern": "^[a-z][a-z0-9_-]*$"}
	default:
		return object{"type": "string", "pattern": "^[a-z][a-z0-9_-]*$", "examples": values}
	}
}

func (g *generator) pattern(name, pattern, format string) object {
	return g.ref(name, func() object {
		o := object{"type": "string", "pattern": pattern}
		if format != "" {
			o["format"] = format
		}
		return o
	})
}

// ref puts a type into $defs once and refers to it.
func (g *generator) ref(name string, make func() object) object {
	if g.defs[name] == nil {
		g.defs[name] = object{} // a type may refer to itself
		def := make()
		def["description"] = g.describe(name)
		g.defs[name] = def
	}
	return object{"$ref": "#/$defs/" + name}
}

// describe gives the comment of a type or field, else what the table says of it.
func (g *generator) describe(name string) string {
	text := g.comments[name]
	_, field, _ := strings.Cut(name, ".")
	for _, key := range []string{name, field} {
		if text == "" && key != "" {
			text = descriptions[key]
			g.used[key] = true
		}
	}
	if text == "" {
		g.t.Errorf("%s has neither a comment nor a description", name)
	}
	return text
}

func (g *generator) structure(t reflect.Type) object {
	properties, required := object{}, []any{}
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous {
				add(f.Type)
				continue
			}
			if name == "-" {
				continue
			}
			key := t.Name() + "." + f.Name
			property := g.of(f.Type, key)
			property["description"] = g.describe(key)
			if name == "schema" {
				property["const"] = map[string]string{"Run": SchemaV1, "Document": SchemaV1, "Changes": ChangesV1, "Comparison": ComparisonV1}[t.Name()]
			}
			properties[name] = property
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
		}
	}
	add(t)
	o := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.SortFunc(required, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		o["required"] = required
	}
	return o
}

func TestPublishedSchemas(t *testing.T) {
	said, used := comments(t), map[string]bool{}
	for _, s := range publishedSchemas {
		g := &generator{t: t, comments: said, defs: map[string]any{}, used: used}
		root := g.of(s.root, "")
		root["$schema"], root["$id"], root["title"], root["$defs"] = "https://json-schema.org/draft/2020-12/schema", s.id, s.title, g.defs
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(root); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(schemaDir, s.file)
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept, b.Bytes()) {
			t.Errorf("%s is not what the types say: go test ./schema -run TestPublishedSchemas -update", path)
		}
	}
	for key := range descriptions {
		if !used[key] {
			t.Errorf("the description of %s is of nothing, or a comment says it already", key)
		}
	}
}

func compileSchema(t testing.TB, file string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	s, err := c.Compile(filepath.Join(schemaDir, file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, b []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func TestGoldensFulfilSchemas(t *testing.T) {
	document := compileSchema(t, "document-v1.schema.json")
	paths, _ := filepath.Glob("testdata/document-*.json")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(document, b); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	b, err := os.ReadFile("testdata/run.json")
	if err != nil {
		t.Fatal(err)
	}
	run := compileSchema(t, "run-v1.schema.json")
	if err := validate(run, b); err != nil {
		t.Errorf("run.json: %v", err)
	}
	lost := foldFixture(t, fixtureDocuments()[:2])
	lost.Judge(func(Lease) bool { return false })
	for name, test := range map[string]struct {
		file  string
		value any
	}{
		"a lost run":      {"run-v1.schema.json", lost},
		"the least run":   {"run-v1.schema.json", newStory(Plan{}).fold(t)},
		"changes":         {"changes-v1.schema.json", Changes{Schema: ChangesV1, Tree: fixedObject("c"), Files: []Change{{Path: "a", Deleted: true}, {Path: "b\xff", Mode: "120000", Target: "c"}}}},
		"a comparison":    {"comparison-v1.schema.json", compared(t, comparableFixture(t), newStory(Plan{}).fold(t), nil)},
		"an availability": {"availability-v1.schema.json", Availability{Pin: "image:image", Ref: "r/a:1", State: StateGone, How: "head-manifest", Reason: "the registry says 404"}},
	} {
		b, err := json.Marshal(test.value)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(compileSchema(t, test.file), b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schema and the decoder agree on what a document of this version may not hold.
func TestSchemasRefuse(t *testing.T) {
	document := compileSchema(t, "document-v1.schema.json")
	base := encoded(t, fixtureOf(KindRun))
	for name, change := range map[string][2]string{
		"a digest":      {string(fixedDigest("3")), "sha256:3"},
		"a tree":        {string(fixedObject("c")), "main"},
		"a use":         {`"use":"enforced"`, `"use":"proven"`},
		"a size":        {`"bytes":4096`, `"bytes":-1`},
		"a path's base": {`"base":"workdir"`, `"base":"home"`},
		"a text":        {`"seed":"9007199254740993"`, `"seed":9007199254740993`},
		"a schema":      {SchemaV1, "runpin.dev/run/v2"},
		"no time":       {`{"at":"2026-11-23T18:00:00.000Z",`, `{`},
	} {
		in := strings.Replace(base, change[0], change[1], 1)
		if in == base {
			t.Fatalf("%s: nothing was changed", name)
		}
		if validate(document, []byte(in)) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
		if _, err := DecodeDocument([]byte(in)); err == nil {
			t.Errorf("%s: the decoder accepts it", name)
		}
	}
}

func TestSchemaFolderHoldsNothingElse(t *testing.T) {
	err := filepath.WalkDir(schemaDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !slices.ContainsFunc(publishedSchemas, func(s struct {
			file, id, title string
			root            reflect.Type
		}) bool {
			return s.file == d.Name()
		}) {
			t.Errorf("%s is made from no type", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

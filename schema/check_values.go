package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

var pkgPath = reflect.TypeFor[Run]().PkgPath()

// set is the values that a field can have. A closed set is complete for v1: another value could not be understood and is refused. An open set
// grows: a writer of this version may only write what it knows, a reader takes any slug and treats it as the weakest of the set.
type set struct {
	open   bool
	values []string
}

func closed[T ~string](values ...T) set { return set{false, plainStrings(values)} }
func open[T ~string](values ...T) set   { return set{true, plainStrings(values)} }

func plainStrings[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func (s set) check(c *checking, v reflect.Value, _ int) error {
	value := v.String()
	switch {
	case slices.Contains(s.values, value):
		return nil
	case s.open && isSlug(value) && (c.lenient || len(s.values) == 0):
		c.newer = c.newer || len(s.values) > 0
		return nil
	case len(s.values) == 0:
		return fmt.Errorf("%q is not a lower-case word", Shorten(value, 80))
	default:
		return fmt.Errorf("%q is not one of %s", Shorten(value, 80), strings.Join(s.values, ", "))
	}
}

// slug is an open set of which no list is kept.
var slug = set{open: true}

func isSlug(s string) bool {
	for i, r := range s {
		if (r < 'a' || r > 'z') && (i == 0 || ((r < '0' || r > '9') && r != '-' && r != '_')) {
			return false
		}
	}
	return s != "" && len(s) <= 80
}

// sets holds the values of the types that are sets.
var sets = map[reflect.Type]set{
	reflect.TypeFor[Use]():          closed(Enforced, Observed, Claimed),
	reflect.TypeFor[Strength]():     closed(StrengthContent, StrengthImmutableID, StrengthETag, StrengthDeclared),
	reflect.TypeFor[Role]():         closed(RoleData, RoleModel, RoleCheckpoint),
	reflect.TypeFor[Status]():       closed(Planned, Running, Succeeded, Failed, Lost),
	reflect.TypeFor[Result]():       closed(Identical, Equivalent, Differs, CannotBeCompared),
	reflect.TypeFor[State]():        closed(StateAvailable, StateKept, StateChanged, StateGone, StateUnknown),
	reflect.TypeFor[Class]():        closed(ClassMust, ClassLikely, ClassNoise, ClassOutcome),
	reflect.TypeFor[OriginKind]():   open(FromRegistry, FromPodStatus, FromEngine, FromGit, FromLabel, FromContent, FromProvider, FromDeclared),
	reflect.TypeFor[BlobKind]():     open(BlobJobSpec, BlobFile, BlobChanges, BlobManifest, BlobSidecar, BlobPackages, BlobBundle),
	reflect.TypeFor[DocumentKind](): open(documentKinds...),
}

// plainFields holds the values of fields whose type is a plain string: "Type.Field".
var plainFields = map[string]set{
	"Path.Base":                closed(BaseCheckout, BaseWorkDir, BaseAbsolute),
	"CodePin.Kind":             closed(CodeGit, CodeScript),
	"ScriptFile.Mode":          closed("100644", "100755"),
	"Change.Mode":              closed("100644", "100755", "120000"),
	"OnRemote.State":           closed("yes", "no", "unknown"),
	"OnRemote.Basis":           slug,
	"Exclusion.Why":            slug,
	"DatasetPin.DigestKind":    open(DirHash, DirHashEscaped),
	"Output.DigestKind":        open(DirHash, DirHashEscaped),
	"Output.Compare":           open(compareModes...),
	"OutputComparison.Compare": open(compareModes...),
	"Release.Action":           open("tag", "promote", "rollback"),
	"Keep.How":                 slug,
	"Reporter.Kind":            slug,
	"Withheld.What":            slug,
	"Reason.Code":              slug,
	"JobSpec.Format":           slug,
	"ImagePin.Engine":          slug,
	"Plan.Launcher":            slug,
	"Launched.On":              slug,
	"Submission.CI":            slug,
}

// typedValues holds the checks of the value types. Where a field is not optional the zero value is refused like any other malformed one.
var typedValues = func() map[reflect.Type]check {
	checks := map[reflect.Type]check{
		reflect.TypeFor[Digest]():      parses(ParseDigest),
		reflect.TypeFor[ObjectID]():    parses(ParseObjectID),
		reflect.TypeFor[RunID]():       parses(parseExactID),
		reflect.TypeFor[DocumentID]():  parses(parseExactID),
		reflect.TypeFor[Fingerprint](): parses(ParseFingerprint),
		reflect.TypeFor[Time]():        checkTime,
	}
	for t, s := range sets {
		checks[t] = s.check
	}
	return checks
}()

func parses[T any](parse func(string) (T, error)) check {
	return func(_ *checking, v reflect.Value, _ int) error {
		_, err := parse(v.String())
		return err
	}
}

// parseExactID refuses what [ParseRunID] would raise: in a document an id has one spelling.
func parseExactID(s string) (RunID, error) {
	id, err := ParseRunID(s)
	if err == nil && string(id) != s {
		err = fmt.Errorf("%q is not in upper case", s)
	}
	return id, err
}

func checkTime(_ *checking, v reflect.Value, _ int) error {
	if t := v.Interface().(Time); !t.writable() {
		return fmt.Errorf("%q is not a time of the years 1970 to 9999", t)
	}
	return nil
}

func checkUTF8(_ *checking, v reflect.Value, _ int) error {
	if s := v.String(); !utf8.ValidString(s) {
		return fmt.Errorf("%q is not valid UTF-8", Shorten(s, 80))
	}
	return nil
}

// checkCount: every 64-bit number of a record counts something.
func checkCount(_ *checking, v reflect.Value, _ int) error {
	if n := v.Int(); n < 0 || n > maxSafeInteger {
		return fmt.Errorf("%d is not a count between 0 and 2^53-1", n)
	}
	return nil
}

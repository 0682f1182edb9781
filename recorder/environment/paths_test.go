package environment

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// jsonPaths lists the JSON path of every field that v has, lists and maps apart.
func jsonPaths(t *testing.T, v any) []string {
	t.Helper()
	var out []string
	var walk func(typ reflect.Type, prefix string)
	walk = func(typ reflect.Type, prefix string) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "variables" {
				continue
			}
			out = append(out, prefix+name)
			walk(typ.Field(i).Type, prefix+name+".")
		}
	}
	walk(reflect.TypeOf(v), "")
	slices.Sort(out)
	return out
}

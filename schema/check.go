package schema

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// A check looks at every value of a Go value before it is written or after it was read. It is compiled once per type, because a record
// holds some hundred values and most of them need no look.
type check func(c *checking, v reflect.Value, depth int) error

// checking is one pass over a value. With lenient, a value that is well formed but unknown in an open set counts as newer, not as wrong.
type checking struct {
	lenient bool
	newer   bool
}

const maxCheckDepth = 2 * maxCanonicalDepth

var errTooDeep = errors.New("nested too deep")

// at says where in a value something is wrong.
type at struct {
	path string
	err  error
}

func (e *at) Error() string { return e.path + ": " + e.err.Error() }
func (e *at) Unwrap() error { return e.err }

func within(step string, err error) error {
	var inner *at
	if errors.As(err, &inner) {
		if !strings.HasPrefix(inner.path, "[") {
			step += "."
		}
		return &at{step + inner.path, inner.err}
	}
	return &at{step, err}
}

// compiler makes checks. In texts mode only "every string is UTF-8" is asked, which any value that is marshalled must fulfil; otherwise
// also that typed values are well formed, so that what is written can be read again.
type compiler struct {
	texts bool
	done  sync.Map // reflect.Type → check

	mu      sync.Mutex
	pending map[reflect.Type]*check // begun under mu; moved to done together, once none refers to an unfinished one
}

var (
	textCompiler = &compiler{texts: true}
	fullCompiler = &compiler{}
	textType     = reflect.TypeFor[Text]()
)

func checkText(v any) error { return textCompiler.run(&checking{}, v) }

func checkFull(c *checking, v any) error { return fullCompiler.run(c, v) }

func (k *compiler) run(c *checking, v any) error {
	if v == nil {
		return nil
	}
	if fn := k.forType(reflect.TypeOf(v)); fn != nil {
		return fn(c, reflect.ValueOf(v), 0)
	}
	return nil
}

// forType gives the check of a type, or nil when there is nothing to look at.
func (k *compiler) forType(t reflect.Type) check {
	if fn, ok := k.done.Load(t); ok {
		return fn.(check)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending = map[reflect.Type]*check{}
	fn := k.get(t)
	for t, p := range k.pending {
		k.done.Store(t, *p)
	}
	return fn
}

// get is forType with mu held. A type that holds itself gets a check that looks itself up when it is called.
func (k *compiler) get(t reflect.Type) check {
	if fn, ok := k.done.Load(t); ok {
		return fn.(check)
	}
	if p := k.pending[t]; p != nil {
		return func(c *checking, v reflect.Value, depth int) error {
			if depth > maxCheckDepth {
				return errTooDeep
			}
			if *p == nil {
				return nil
			}
			return (*p)(c, v, depth)
		}
	}
	p := new(check)
	k.pending[t] = p
	*p = k.compile(t)
	return *p
}

func (k *compiler) compile(t reflect.Type) check {
	if !k.texts {
		if fn := typedValues[t]; fn != nil {
			return fn
		}
	}
	switch t.Kind() {
	case reflect.String:
		if t == textType {
			return nil // writes itself so that every byte survives
		}
		return checkUTF8
	case reflect.Int64:
		if !k.texts {
			return checkCount
		}
	case reflect.Pointer:
		if inner := k.get(t.Elem()); inner != nil {
			return func(c *checking, v reflect.Value, depth int) error {
				if v.IsNil() {
					return nil
				}
				return inner(c, v.Elem(), depth+1)
			}
		}
	case reflect.Interface:
		return func(c *checking, v reflect.Value, depth int) error {
			if v.IsNil() {
				return nil
			}
			if depth > maxCheckDepth {
				return errTooDeep
			}
			if inner := k.forType(v.Elem().Type()); inner != nil {
				return inner(c, v.Elem(), depth+1)
			}
			return nil
		}
	case reflect.Slice, reflect.Array:
		return k.compileSlice(t)
	case reflect.Map:
		return k.compileMap(t)
	case reflect.Struct:
		return k.compileStruct(t)
	}
	return nil
}

func (k *compiler) compileSlice(t reflect.Type) check {
	if t.Elem().Kind() == reflect.Uint8 {
		return nil
	}
	inner := k.get(t.Elem())
	if inner == nil {
		return nil
	}
	return func(c *checking, v reflect.Value, depth int) error {
		for i := range v.Len() {
			if err := inner(c, v.Index(i), depth+1); err != nil {
				return within("["+strconv.Itoa(i)+"]", err)
			}
		}
		return nil
	}
}

func (k *compiler) compileMap(t reflect.Type) check {
	inner := k.get(t.Elem())
	strings := t.Key().Kind() == reflect.String
	if inner == nil && !strings {
		return nil
	}
	return func(c *checking, v reflect.Value, depth int) error {
		for it := v.MapRange(); it.Next(); {
			if strings {
				if err := checkKey(it.Key().String(), k.texts); err != nil {
					return err
				}
			}
			if inner != nil {
				if err := inner(c, it.Value(), depth+1); err != nil {
					return within(fmt.Sprint(it.Key()), err)
				}
			}
		}
		return nil
	}
}

// checkKey: a key of type Text is written as a plain string and must be UTF-8 too.
func checkKey(key string, textsOnly bool) error {
	if !utf8.ValidString(key) {
		return fmt.Errorf("key %q is not valid UTF-8", Shorten(key, 80))
	}
	if textsOnly {
		return nil
	}
	if key == "" || len(key) > 1024 || strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return fmt.Errorf("key %q is not 1 to 1024 bytes without control characters", Shorten(key, 80))
	}
	return nil
}

func (k *compiler) compileStruct(t reflect.Type) check {
	type fieldCheck struct {
		index    int
		name     string
		optional bool // absent when zero, so the zero value is never written
		fn       check
	}
	var fields []fieldCheck
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		fn := k.get(f.Type)
		if !k.texts {
			if rule, ok := plainFields[t.Name()+"."+f.Name]; ok && t.PkgPath() == pkgPath {
				fn = rule.check
			}
		}
		if fn == nil {
			continue
		}
		fields = append(fields, fieldCheck{i, name, strings.Contains(options, "omit"), fn})
	}
	if len(fields) == 0 {
		return nil
	}
	return func(c *checking, v reflect.Value, depth int) error {
		for _, f := range fields {
			value := v.Field(f.index)
			if f.optional && value.IsZero() {
				continue
			}
			if err := f.fn(c, value, depth+1); err != nil {
				if f.name == "" {
					return err // embedded
				}
				return within(f.name, err)
			}
		}
		return nil
	}
}

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// MaxDocumentBytes bounds one document; what is larger belongs into a blob.
const MaxDocumentBytes = 16 << 20

// Encode gives the canonical JSON of the document after checking it. Decoding it gives the document back. A document that holds more than
// this version knows gives the bytes it was read from, and cannot be changed.
func (d Document) Encode() ([]byte, error) {
	if d.Verbatim != nil {
		return d.encodeVerbatim()
	}
	if err := d.check(&checking{}); err != nil {
		return nil, err
	}
	b, err := Canonical(d)
	if err != nil {
		return nil, err
	}
	return b, d.checkSize(b)
}

func (d Document) encodeVerbatim() ([]byte, error) {
	read, err := DecodeDocument(d.Verbatim)
	if err != nil {
		return nil, err
	}
	was, err := Canonical(read)
	if err != nil {
		return nil, err
	}
	is, err := Canonical(d)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(was, is) {
		return nil, &Error{Op: "schema.encode", Kind: Conflict, Subject: "document " + string(d.ID),
			Err: fmt.Errorf("it was changed after it was read, and it holds what a newer version wrote"), Hint: "update runpin to the version that wrote it"}
	}
	return d.Verbatim, nil
}

// DecodeDocument reads a document in its canonical form and checks it. What this version does not know is passed over and kept in
// Verbatim: fields, kinds of document, and values of open sets (docs/record.md). A value that this version knows has exactly one spelling.
func DecodeDocument(b []byte) (Document, error) {
	d, err := decodeDocument(b)
	if err != nil {
		return Document{}, &Error{Op: "schema.decode", Kind: Invalid, Subject: "document", Err: err, Hint: HintOf(err)}
	}
	return d, nil
}

func decodeDocument(b []byte) (Document, error) {
	var d Document
	if err := d.checkSize(b); err != nil {
		return d, err
	}
	canonical, err := CanonicalBytes(b)
	if err != nil {
		return d, err
	}
	if !bytes.Equal(canonical, b) {
		return d, fmt.Errorf("not in canonical form")
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, readable(err)
	}
	again, err := Canonical(d)
	if err != nil {
		return d, err
	}
	newer := !bytes.Equal(again, b)
	if newer {
		if d, err = decodeKnown(b); err != nil {
			return d, err
		}
	}
	pass := checking{lenient: true}
	if err := d.check(&pass); err != nil {
		return d, err
	}
	if newer || pass.newer {
		d.Verbatim = bytes.Clone(b)
	}
	return d, nil
}

// decodeKnown reads the part of b that this version knows. It is an error if that part is not in its one form: encoding/json matches keys
// without regard to case and takes several spellings of a time or an id, and two readers must not see two records.
func decodeKnown(b []byte) (Document, error) {
	var d Document
	part, dropped, err := known(b, reflect.TypeFor[Document]())
	if err != nil {
		return d, err
	}
	if !dropped {
		return d, fmt.Errorf("a value is not in its one form: a spelling that is not canonical, or an empty value that must be absent")
	}
	if part, err = CanonicalBytes(part); err != nil {
		return d, err
	}
	if err := json.Unmarshal(part, &d); err != nil {
		return d, readable(err)
	}
	again, err := Canonical(d)
	if err == nil && !bytes.Equal(again, part) {
		err = fmt.Errorf("a value is not in its one form: a spelling that is not canonical, or an empty value that must be absent")
	}
	return d, err
}

// known gives raw without the members that type t has no field for, and reports whether there were any.
func known(raw json.RawMessage, t reflect.Type) (out json.RawMessage, dropped bool, err error) {
	if t.Kind() == reflect.Pointer {
		return known(raw, t.Elem())
	}
	if p := reflect.PointerTo(t); p.Implements(jsonReader) || p.Implements(textReader) || len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return raw, false, nil
	}
	switch t.Kind() {
	case reflect.Slice:
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, false, readable(err)
		}
		for i := range items {
			one := false
			if items[i], one, err = known(items[i], t.Elem()); err != nil {
				return nil, false, err
			}
			dropped = dropped || one
		}
		out, err = json.Marshal(items)
		return out, dropped, err
	case reflect.Map, reflect.Struct:
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, false, readable(err)
		}
		for key, value := range members {
			elem, optional, ok := memberType(t, key)
			if !ok {
				delete(members, key)
				dropped = true
				continue
			}
			value, one, err := known(value, elem)
			if err != nil {
				return nil, false, err
			}
			members[key] = value
			if one && optional && string(value) == "{}" {
				delete(members, key) // all it held was new
			}
			dropped = dropped || one
		}
		out, err = json.Marshal(members)
		return out, dropped, err
	}
	return raw, false, nil
}

var (
	jsonReader = reflect.TypeFor[json.Unmarshaler]()
	textReader = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()
)

// memberType gives the type of the member key of a value of type t; optional says that it is a struct that is left out when it is zero.
func memberType(t reflect.Type, key string) (elem reflect.Type, optional, ok bool) {
	if t.Kind() == reflect.Map {
		return t.Elem(), false, true
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if name, options, _ := strings.Cut(f.Tag.Get("json"), ","); name == key && name != "-" && f.IsExported() {
			return f.Type, f.Type.Kind() == reflect.Struct && strings.Contains(options, "omitzero"), true
		}
	}
	return nil, false, false
}

// readable keeps Go's names out of what a person reads.
func readable(err error) error {
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("%s: a %s stands where something else belongs", e.Field, e.Value)
	}
	return err
}

func (d Document) checkSize(b []byte) error {
	if len(b) <= MaxDocumentBytes {
		return nil
	}
	return &Error{Op: "schema.document", Kind: Invalid, Subject: "document " + string(d.ID), Err: fmt.Errorf("%d bytes, at most %d are allowed", len(b), MaxDocumentBytes)}
}

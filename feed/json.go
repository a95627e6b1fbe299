package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// An object reads the members of a JSON object by their exact names: encoding/json by itself takes "Type" for "type" and the last of two
// equal members, where other languages do not, so that two readers of one signed entry could see two things. It remembers the first
// error, so that callers check once, at the end.
type object struct {
	members map[string]json.RawMessage
	err     error
}

// parseObject reads an object and nothing after it.
func parseObject(b []byte) (*object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(b) { // also bounds the depth
		return nil, errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	o := &object{members: make(map[string]json.RawMessage)}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := o.members[name.(string)]; twice {
			return nil, fmt.Errorf("member %.40q twice", name)
		}
		o.members[name.(string)] = value
	}
	return o, nil
}

// keep remembers the first error.
func (o *object) keep(err error) {
	if o.err == nil {
		o.err = err
	}
}

// read decodes a member; null and absent members are errors.
func (o *object) read(name string, to any) {
	value, ok := o.members[name]
	if !ok || string(value) == "null" {
		o.keep(fmt.Errorf("no member %q", name))
		return
	}
	if err := json.Unmarshal(value, to); err != nil {
		o.keep(fmt.Errorf("member %q: %w", name, err))
	}
}

func (o *object) str(name string) (s string) {
	o.read(name, &s)
	return s
}

func (o *object) strs(name string, limit int) []string {
	var elements []*string // null must not read as ""
	o.read(name, &elements)
	if len(elements) > limit {
		o.keep(fmt.Errorf("member %q has %d elements, want at most %d", name, len(elements), limit))
		return nil
	}
	var list []string
	for _, e := range elements {
		if e == nil {
			o.keep(fmt.Errorf("member %q has a null", name))
			return nil
		}
		list = append(list, *e)
	}
	return list
}

// number reads an integer of 0 to MaxNumber, written without fraction and exponent.
func (o *object) number(name string) (n uint64) {
	o.read(name, &n)
	if n > MaxNumber {
		o.keep(fmt.Errorf("member %q is %d, want at most 2^53-1", name, n))
		return 0
	}
	return n
}

// hint reads an integer of 0 to most that may be missing. What is no such number counts as missing: readers before this member was there took it
// for unknown, and have to agree with us on what is an entry.
func (o *object) hint(name string, most uint64) (n uint64) {
	raw, ok := o.members[name]
	if !ok || json.Unmarshal(raw, &n) != nil || n > most {
		return 0
	}
	return n
}

func (o *object) objects(name string, limit int) []*object {
	var elements []json.RawMessage
	o.read(name, &elements)
	if len(elements) > limit {
		o.keep(fmt.Errorf("member %q has %d elements, want at most %d", name, len(elements), limit))
		return nil
	}
	var list []*object
	for _, e := range elements {
		element, err := parseObject(e)
		if err != nil {
			o.keep(fmt.Errorf("member %q: %w", name, err))
			return nil
		}
		list = append(list, element)
	}
	return list
}

// marshalEntry returns the JSON of a catalog entry: the members in order, no spaces, no line break, <, > and & as they are.
func marshalEntry(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if b.Len()-1 > MaxCatalogEntry {
		return nil, fmt.Errorf("catalog entry of %d bytes, want at most %d", b.Len()-1, MaxCatalogEntry)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

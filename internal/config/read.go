package config

import (
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"stillpoint/messages"
)

// The parts of the file in which keys stand. The table of what is not
// supported names them.
const (
	sectionFile  = "file"
	sectionPlan  = "plan"
	sectionMySQL = "mysql"
)

var sections = map[string]reflect.Type{
	sectionFile:  reflect.TypeFor[File](),
	sectionPlan:  reflect.TypeFor[Plan](),
	sectionMySQL: reflect.TypeFor[MySQL](),
}

// keysOf lists the keys of a section in the order of its struct.
func keysOf(section string) []string {
	var keys []string
	for f := range sections[section].Fields() {
		if key := f.Tag.Get("yaml"); key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

// reader brings the YAML tree into the structs. It notes where every value
// stands, so that later checks can show the line.
type reader struct {
	*findings
}

func (r *reader) file(n ast.Node, to *File) {
	r.section(nil, n, sectionFile, reflect.ValueOf(to).Elem())
}

// section reads a mapping whose keys are fields of a struct.
func (r *reader) section(w where, n ast.Node, section string, to reflect.Value) {
	for _, kv := range r.mapping(w, n, "a mapping of keys") {
		at := w.to(kv.key)
		if sentence := refused(section, kv.key, kv.node); sentence != "" {
			r.report(kv.token, at.String()+" "+sentence)
			continue
		}
		field, ok := fieldOf(to, kv.key)
		if !ok {
			r.report(kv.token, unknown(section, kv.key))
			continue
		}
		r.value(at, kv.node, field)
		if m, ok := to.Addr().Interface().(*MySQL); ok && kv.key == "port" {
			m.PortSet = true
		}
	}
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key && key != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// value reads one value into a field, by the field's type.
func (r *reader) value(w where, n ast.Node, to reflect.Value) {
	switch p := to.Addr().Interface().(type) {
	case *string:
		*p = r.text(w, n)
	case *time.Duration:
		*p = r.duration(w, n)
	case *bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			r.wrong(w, n, "true or false")
			return
		}
		*p = b.Value
	case *int:
		*p = r.number(w, n)
	case *[]string:
		*p = r.list(w, n)
	case *map[string]string:
		*p = nil // {} is the same as nothing
		for _, kv := range r.mapping(w, n, "a mapping of names to strings") {
			if *p == nil {
				*p = map[string]string{}
			}
			(*p)[kv.key] = r.text(w.to(kv.key), kv.node)
		}
	case **MySQL:
		*p = NewMySQL()
		r.section(w, n, sectionMySQL, reflect.ValueOf(*p).Elem())
	case *map[string]*Plan:
		*p = map[string]*Plan{}
		for _, kv := range r.mapping(w, n, "a mapping of names to plans") {
			plan := NewPlan(kv.key)
			r.section(w.to(kv.key), kv.node, sectionPlan, reflect.ValueOf(plan).Elem())
			(*p)[kv.key] = plan
		}
	}
}

func (r *reader) text(w where, n ast.Node) string {
	switch s := n.(type) {
	case *ast.StringNode:
		// YAML does not allow it; the parser takes {cost:center: dba} for a key cost.
		if s.Token.Type == token.StringType && strings.Contains(s.Value, ": ") {
			r.add(w, "has a colon and a space in its value (%s): put it in quotes, and a key with a colon in it too", s.Value)
		}
		return s.Value
	case *ast.LiteralNode:
		return s.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		r.add(w, "must be a string: write it in quotes, \"%s\"", n.GetToken().Value)
	default:
		r.wrong(w, n, "a string")
	}
	return ""
}

func (r *reader) duration(w where, n ast.Node) time.Duration {
	const expected = "a duration with a unit, such as 500ms, 10s or 1h"
	switch s := n.(type) {
	case *ast.StringNode:
		d, err := messages.ParseDuration(s.Value)
		if err != nil {
			r.add(w, "must be a duration: %v", err)
		}
		return d
	case *ast.IntegerNode, *ast.FloatNode:
		v := n.GetToken().Value
		r.add(w, "must be %s, not the bare number %s: did you mean %ss?", expected, v, v)
	default:
		r.wrong(w, n, expected)
	}
	return 0
}

func (r *reader) number(w where, n ast.Node) int {
	if i, ok := n.(*ast.IntegerNode); ok {
		switch v := i.Value.(type) {
		case int64:
			if v >= math.MinInt32 && v <= math.MaxInt32 {
				return int(v)
			}
		case uint64:
			if v <= math.MaxInt32 {
				return int(v)
			}
		}
	}
	r.wrong(w, n, "a whole number")
	return 0
}

func (r *reader) list(w where, n ast.Node) []string {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if s, ok := n.(*ast.StringNode); ok {
			r.add(w, "must be a list of strings: write [%s]", s.Value)
			return nil
		}
		r.wrong(w, n, "a list of strings, such as [] or [a, b]")
		return nil
	}
	var list []string // nil for [], as where nothing is said
	for i, el := range seq.Values {
		at := w.item(i)
		r.at[at.id()] = el.GetToken()
		list = append(list, r.text(at, el))
	}
	return list
}

// wrong says that the node is not what was expected.
func (r *reader) wrong(w where, n ast.Node, expected string) {
	switch n.(type) {
	case *ast.NullNode:
		r.add(w, "has no value: expected %s; leave the key out for its default", expected)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.add(w, "uses an anchor, an alias or a tag of YAML: write the value out")
	default:
		r.add(w, "must be %s, not %s", expected, strings.ToLower(n.Type().YAMLName()))
	}
}

// pair is one key of a mapping.
type pair struct {
	key   string
	token *token.Token
	node  ast.Node
}

// mapping lists the keys of a mapping and notes where they stand.
func (r *reader) mapping(w where, n ast.Node, expected string) []pair {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		if len(w) == 0 {
			r.report(n.GetToken(), "the file must be a mapping of keys, such as queue_url: ...")
			return nil
		}
		r.wrong(w, n, expected+" (or {})")
		return nil
	}
	var pairs []pair
	seen := map[string]bool{}
	for _, v := range values {
		tk := v.Key.GetToken()
		switch v.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		default:
			r.report(tk, "a key must be a plain name here: write every key out")
			continue
		}
		if seen[tk.Value] {
			r.report(tk, w.to(tk.Value).String()+" stands here twice: expected once")
			continue
		}
		seen[tk.Value] = true
		r.at[w.to(tk.Value).id()] = tk
		pairs = append(pairs, pair{tk.Value, tk, v.Value})
	}
	return pairs
}

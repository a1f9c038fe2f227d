// Package stack reads this project's CloudFormation templates, resolves them as
// CloudFormation would, and deploys to the local AWS what that has. Tests hold
// the templates against the program with it: what cfn-lint cannot know and moto
// passes over.
package stack

import (
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Template is a template as it is written, its short forms (!Ref) as the long
// ones ({"Ref": ...}). Values are map[string]any, []any, string, bool, int64,
// float64 and nil.
type Template struct {
	Parameters, Conditions, Mappings, Resources, Outputs map[string]any
}

// Read reads a template.
func Read(path string) (*Template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read the template %s: %w", path, err)
	}
	return t, nil
}

func parse(text []byte) (*Template, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("it has %d documents", len(file.Docs))
	}
	v, err := plain(file.Docs[0].Body)
	if err != nil {
		return nil, err
	}
	top, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no mapping")
	}
	t := &Template{}
	for name, to := range map[string]*map[string]any{
		"Parameters": &t.Parameters, "Conditions": &t.Conditions, "Mappings": &t.Mappings, "Resources": &t.Resources, "Outputs": &t.Outputs,
	} {
		*to, _ = top[name].(map[string]any)
	}
	return t, nil
}

// plain makes Go values of nodes.
func plain(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.TagNode:
		v, err := plain(n.Value)
		if err != nil {
			return nil, err
		}
		return tagged(n.Start.Value, v)
	case *ast.MappingNode:
		m := map[string]any{}
		for _, kv := range n.Values {
			if err := put(m, kv); err != nil {
				return nil, err
			}
		}
		return m, nil
	case *ast.MappingValueNode:
		m := map[string]any{}
		return m, put(m, n)
	case *ast.SequenceNode:
		list := []any{}
		for _, item := range n.Values {
			v, err := plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		switch i := n.Value.(type) {
		case uint64:
			return int64(i), nil
		case int64:
			return i, nil
		}
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.NullNode, nil:
		return nil, nil
	}
	return nil, fmt.Errorf("line %d: a %s is not expected in a template", n.GetToken().Position.Line, n.Type())
}

func put(m map[string]any, kv *ast.MappingValueNode) error {
	key, err := plain(kv.Key)
	if err != nil {
		return err
	}
	name, ok := key.(string)
	if !ok {
		return fmt.Errorf("line %d: the key %v is no string", kv.GetToken().Position.Line, key)
	}
	m[name], err = plain(kv.Value)
	return err
}

// tagged is the long form of a short one.
func tagged(tag string, v any) (any, error) {
	name := strings.TrimPrefix(tag, "!")
	switch name {
	case "Ref", "Condition":
		return map[string]any{name: v}, nil
	case "GetAtt":
		id, attribute, ok := strings.Cut(fmt.Sprint(v), ".")
		if !ok {
			return nil, fmt.Errorf("!GetAtt %v is not Resource.Attribute", v)
		}
		return map[string]any{"Fn::GetAtt": []any{id, attribute}}, nil
	default:
		return map[string]any{"Fn::" + name: v}, nil
	}
}

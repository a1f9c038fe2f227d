package stack

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Env is where and with what a template is resolved.
type Env struct {
	// Name is that of the stack.
	Name string
	// Parameters are those that differ from their defaults.
	Parameters map[string]string
	// Imports are the values that other stacks export.
	Imports map[string]string
	// QueueURL makes the URL of a queue of its name; nil: AWS's own form.
	QueueURL func(name string) string
}

// The place where everything is resolved: that of the local AWS.
const (
	Region  = "eu-west-1"
	Account = "111122223333"
)

// Resource is a resource of a stack, its properties without functions.
type Resource struct {
	Type       string
	Properties map[string]any
}

// Stack is a template resolved.
type Stack struct {
	Resources map[string]Resource // by logical id; those whose condition does not hold are not there
	Outputs   map[string]string
	Exports   map[string]string // by export name
}

// none stands for AWS::NoValue.
type none struct{}

type resolver struct {
	Env
	t      *Template
	params map[string]any
}

// Resolve resolves a template. What the resolver does not know is an error, so
// that nothing is passed over.
func (t *Template) Resolve(env Env) (*Stack, error) {
	r := &resolver{Env: env, t: t, params: map[string]any{}}
	for name, p := range t.Parameters {
		if err := r.parameter(name, p.(map[string]any)); err != nil {
			return nil, err
		}
	}
	for name := range env.Parameters {
		if _, ok := t.Parameters[name]; !ok {
			return nil, fmt.Errorf("the template has no parameter %s", name)
		}
	}
	s := &Stack{Resources: map[string]Resource{}, Outputs: map[string]string{}, Exports: map[string]string{}}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if err := r.resource(s, id); err != nil {
			return nil, fmt.Errorf("resource %s: %w", id, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Outputs)) {
		if err := r.output(s, id); err != nil {
			return nil, fmt.Errorf("output %s: %w", id, err)
		}
	}
	return s, nil
}

// parameter takes the value of one, as far as AllowedValues goes.
func (r *resolver) parameter(name string, p map[string]any) error {
	v, given := r.Parameters[name]
	if !given {
		d, ok := p["Default"]
		if !ok {
			return fmt.Errorf("the parameter %s has no value", name)
		}
		v = fmt.Sprint(d)
	}
	if allowed, ok := p["AllowedValues"].([]any); ok && !slices.Contains(texts(allowed), v) {
		return fmt.Errorf("the parameter %s cannot be %q: %v", name, v, allowed)
	}
	r.params[name] = v
	if p["Type"] == "Number" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("the parameter %s: %w", name, err)
		}
		r.params[name] = n
	}
	if p["Type"] == "CommaDelimitedList" {
		list := []any{}
		for _, item := range strings.Split(v, ",") {
			list = append(list, strings.TrimSpace(item))
		}
		r.params[name] = list
	}
	return nil
}

func (r *resolver) resource(s *Stack, id string) error {
	body := r.t.Resources[id].(map[string]any)
	if there, err := r.there(body); err != nil || !there {
		return err
	}
	properties, err := r.value(body["Properties"])
	if err != nil {
		return err
	}
	p, _ := properties.(map[string]any)
	s.Resources[id] = Resource{Type: body["Type"].(string), Properties: p}
	return nil
}

func (r *resolver) output(s *Stack, id string) error {
	body := r.t.Outputs[id].(map[string]any)
	if there, err := r.there(body); err != nil || !there {
		return err
	}
	v, err := r.text(body["Value"])
	if err != nil {
		return err
	}
	s.Outputs[id] = v
	if export, ok := body["Export"].(map[string]any); ok {
		name, err := r.text(export["Name"])
		if err != nil {
			return err
		}
		s.Exports[name] = v
	}
	return nil
}

// there tells whether the condition of a resource or an output holds.
func (r *resolver) there(body map[string]any) (bool, error) {
	name, ok := body["Condition"].(string)
	if !ok {
		return true, nil
	}
	return r.condition(name)
}

func (r *resolver) condition(name string) (bool, error) {
	c, ok := r.t.Conditions[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	v, err := r.value(c)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("condition %s is %v", name, v)
	}
	return holds, nil
}

// value resolves what stands in a template.
func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if name, argument, ok := function(v); ok {
			return r.call(name, argument)
		}
		out := map[string]any{}
		for k, item := range v {
			x, err := r.value(item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			if x != (none{}) {
				out[k] = x
			}
		}
		return out, nil
	case []any:
		out := []any{}
		for _, item := range v {
			x, err := r.value(item)
			if err != nil {
				return nil, err
			}
			if _, no := x.(none); !no {
				out = append(out, x)
			}
		}
		return out, nil
	}
	return v, nil
}

// function takes a call apart: a mapping with the one key Ref, Condition or Fn::...
func function(m map[string]any) (name string, argument any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for name, argument = range m {
		if _, text := argument.(string); name == "Condition" && !text {
			return "", nil, false // that of a policy's statement
		}
	}
	return name, argument, name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::")
}

func (r *resolver) text(v any) (string, error) {
	x, err := r.value(v)
	if err != nil {
		return "", err
	}
	switch x := x.(type) {
	case string:
		return x, nil
	case int64, bool, float64:
		return fmt.Sprint(x), nil
	}
	return "", fmt.Errorf("%v is no text", x)
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	return out
}

package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"stillpoint/messages"
)

// Vars are what a plan's description may name.
type Vars struct {
	InstanceID string
	Plan       string
	RequestID  string
	Region     string
}

var varNames = []string{"InstanceID", "Plan", "RequestID", "Region"}

// DescriptionFor is the description of the snapshots of one request that
// brings none of its own, cut to messages.MaxDescription characters. It cannot
// fail for a plan that was checked, with values that EC2 gave or a request brought.
func (p *Plan) DescriptionFor(v Vars) (string, error) {
	t, err := parseDescription(p.Description)
	if err != nil {
		return "", fmt.Errorf("cannot make the description of plan %s: %w", p.Name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", fmt.Errorf("cannot make the description of plan %s: %w", p.Name, err)
	}
	s := b.String()
	if r := []rune(s); len(r) > messages.MaxDescription {
		s = string(r[:messages.MaxDescription-3]) + "..."
	}
	if err := messages.CheckDescription(s); err != nil {
		return "", fmt.Errorf("cannot make the description of plan %s: it %w", p.Name, err)
	}
	return s, nil
}

// parseDescription allows text and the four names, and nothing else of the
// template language: what it can do beyond is not needed and may fail at night.
func parseDescription(s string) (*template.Template, error) {
	expected := "expected text and {{." + strings.Join(varNames, "}}, {{.") + "}}"
	t, err := template.New("description").Option("missingkey=error").Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", strings.TrimPrefix(err.Error(), "template: "), expected)
	}
	if t.Tree == nil || t.Root == nil {
		return t, nil
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New(expected)
	}
	for _, n := range t.Root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			if !isName(n) {
				return nil, fmt.Errorf("%s, not %s", expected, short(n.String()))
			}
		default:
			return nil, fmt.Errorf("%s, not %s", expected, short(n.String()))
		}
	}
	return t, nil
}

func isName(n *parse.ActionNode) bool {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
		return false
	}
	f, ok := n.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	return ok && len(f.Ident) == 1 && slices.Contains(varNames, f.Ident[0])
}

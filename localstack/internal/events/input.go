package events

import (
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/wire"
)

// inputTransformer is that of the API.
type inputTransformer struct {
	InputPathsMap map[string]string `json:",omitempty"`
	InputTemplate *string           `json:",omitzero"`
}

// reserved are the variables that need no path.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html#eb-transform-input-predefined
var reserved = map[string]func(e event, r *rule, ingested string) jsontext.Value{
	"aws.events.rule-arn":             func(_ event, r *rule, _ string) jsontext.Value { return jsontext.Value(quote(r.arn)) },
	"aws.events.rule-name":            func(_ event, r *rule, _ string) jsontext.Value { return jsontext.Value(quote(r.name)) },
	"aws.events.event":                func(e event, _ *rule, _ string) jsontext.Value { return e.outline() },
	"aws.events.event.json":           func(e event, _ *rule, _ string) jsontext.Value { return e.text() },
	"aws.events.event.ingestion-time": func(_ event, _ *rule, at string) jsontext.Value { return jsontext.Value(quote(at)) },
}

// checkInput tells what is wrong with the input that a target is to get. The messages about two at once and about a placeholder
// were recorded from AWS (test_events_inputs.snapshot.json, see template.fill); those about JSON are as users quote them.
func (t *ruleTarget) checkInput() *wire.Error {
	given := 0
	for _, there := range []bool{t.Input != nil, t.InputPath != nil, t.InputTransformer != nil} {
		if there {
			given++
		}
	}
	if given > 1 {
		return invalid("Only one of Input, InputPath, or InputTransformer must be provided for target %s.", t.Id)
	}
	if t.Input != nil && !valid(*t.Input) {
		return invalid("Input for target %s is not a valid JSON text.", t.Id)
	}
	if t.InputPath != nil {
		if _, ok := parsePath(*t.InputPath, true); !ok {
			return invalid("InputPath for target %s is %q, which localstack cannot read: use $, names after dots, [0] and [*].", t.Id, *t.InputPath)
		}
	}
	if t.InputTransformer == nil {
		return nil
	}
	tr := t.InputTransformer
	for key, text := range tr.InputPathsMap {
		if _, ok := parsePath(text, false); !ok {
			return invalid("InputPathsMap for target %s has %q for %s, which localstack cannot read: use $, names after dots, [0] and [*].", t.Id, text, key)
		}
	}
	tmpl, err := parseTemplate(*tr.InputTemplate)
	if err != nil {
		return invalid("Invalid InputTemplate for target %s : [%s].", t.Id, err)
	}
	for _, name := range tmpl.names() {
		if _, ok := tr.InputPathsMap[name]; !ok && reserved[name] == nil {
			return invalid("InputTemplate for target %s contains invalid placeholder %s.", t.Id, name)
		}
	}
	return nil
}

// input is what the target gets of an event. The error is one that no retry would help.
func (t *ruleTarget) input(e event, r *rule, ingested string) (string, *wire.Error) {
	switch {
	case t.Input != nil:
		return *t.Input, nil
	case t.InputPath != nil:
		p, _ := parsePath(*t.InputPath, true)
		part, ok := p.find(e.text())
		if !ok {
			return "null", nil // a guess: AWS does not say what a target gets of a part that is not there
		}
		return string(part), nil
	case t.InputTransformer == nil:
		return string(e.text()), nil
	}
	vars := map[string]jsontext.Value{}
	for name, value := range reserved {
		vars[name] = value(e, r, ingested)
	}
	doc := e.text()
	for name, text := range t.InputTransformer.InputPathsMap {
		p, _ := parsePath(text, false)
		if v, ok := p.find(doc); ok {
			vars[name] = v
		}
	}
	tmpl, err := parseTemplate(*t.InputTransformer.InputTemplate)
	if err != nil {
		return "", wire.Errorf("InvalidJson", "cannot read the input template: %v", err)
	}
	text, ok := tmpl.fill(vars)
	if !ok {
		return "", wire.Errorf("InvalidJson", "the input template gives no JSON: %s", text)
	}
	return text, nil
}

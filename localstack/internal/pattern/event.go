package pattern

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxCombinations is how many combinations all $or of a pattern may make,
// multiplied: "EventBridge throws InvalidEventPatternException" beyond it.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-complex-example-or
const maxCombinations = 1000

// MaxEventPattern is the size that an event pattern can have, in characters: a
// rule takes 2,048 characters unless the quota of the account was raised, and up to
// 4,096 then. ParseEvent holds a pattern to the latter; the quota is the caller's.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
const MaxEventPattern = 4096

// Pattern is an event pattern. It does not change, and can be used by several
// goroutines at once. The zero value matches every event.
type Pattern struct{ root object }

// ParseEvent reads an event pattern.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
//
// An error is a *SyntaxError.
func ParseEvent(text []byte) (*Pattern, error) {
	p := &parser{dialect: eventDialect()}
	if n := utf8.RuneCount(text); n > MaxEventPattern {
		return nil, p.fail(fmt.Sprintf("the pattern has %d characters and may have %d", n, MaxEventPattern))
	}
	root, err := p.parse(text, false)
	if err != nil {
		return nil, err
	}
	if n := root.combinations(); n > maxCombinations {
		return nil, p.fail(fmt.Sprintf("the $or in it make over %d rule combinations", maxCombinations))
	}
	return &Pattern{root: *root}, nil
}

// MatchEvent tells whether an event matches. The error is for a document that
// is not a JSON object.
func (p *Pattern) MatchEvent(doc []byte) (bool, error) {
	v, err := decode(doc)
	if err == nil && v.kind != '{' {
		err = errors.New("not a JSON object")
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the event: %w", err)
	}
	return p.root.match(v), nil
}

// combinations stops counting above maxCombinations.
func (o *object) combinations() int {
	n := 1
	for _, f := range o.fields {
		if f.below != nil {
			n = min(n*f.below.combinations(), maxCombinations+1)
		}
	}
	for _, alternatives := range o.ors {
		sum := 0
		for _, a := range alternatives {
			sum = min(sum+a.combinations(), maxCombinations+1)
		}
		n = min(n*sum, maxCombinations+1)
	}
	return n
}

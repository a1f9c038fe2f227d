// Package constraint checks the members of a request as the models of EventBridge and Scheduler constrain them, and words what
// is wrong as these services do: "1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: ...", as
// recorded in https://github.com/localstack/localstack/blob/main/tests/aws/services/events/test_events.snapshot.json
// (test_put_target_id_validation, test_create_connection_validations).
package constraint

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/wire"
)

// Code is that of a request that breaks a constraint, in both services.
const Code = "ValidationException"

// Checks collects what is wrong with a request. The zero value has found nothing.
type Checks struct{ failed []string }

func (c *Checks) add(member, value, constraint string, args ...any) {
	c.failed = append(c.failed, "Value "+value+" at '"+member+"' failed to satisfy constraint: "+fmt.Sprintf(constraint, args...))
}

// Need says that a member has to be there.
func (c *Checks) Need(member string, there bool) {
	if !there {
		c.add(member, "null", "Member must not be null")
	}
}

// shown is how much of a value an error repeats, in bytes. AWS repeats all of it.
const shown = 128

func quote(value string) string {
	if len(value) > shown {
		value = strings.ToValidUTF8(value[:shown], "") + "..."
	}
	return "'" + value + "'"
}

// Text holds a member to its length in characters and to its pattern, which is anchored; nil is any. A least of 0 allows empty.
func (c *Checks) Text(member, value string, least, most int, pattern *regexp.Regexp) {
	n := utf8.RuneCountInString(value)
	if n > most {
		c.add(member, quote(value), "Member must have length less than or equal to %d", most)
	}
	if n < least {
		c.add(member, quote(value), "Member must have length greater than or equal to %d", least)
	}
	if pattern != nil && !pattern.MatchString(value) {
		text := strings.TrimSuffix(strings.TrimPrefix(pattern.String(), "^"), "$")
		c.add(member, quote(value), "Member must satisfy regular expression pattern: %s", text)
	}
}

// One holds a member to a set of values.
func (c *Checks) One(member, value string, of ...string) {
	for _, v := range of {
		if v == value {
			return
		}
	}
	c.add(member, quote(value), "Member must satisfy enum value set: [%s]", strings.Join(of, ", "))
}

// Number holds a member to its range. Nil is a member that is not there, which is all right.
func (c *Checks) Number(member string, value *int, least, most int) {
	if value == nil {
		return
	}
	if *value < least {
		c.add(member, fmt.Sprintf("'%d'", *value), "Member must have value greater than or equal to %d", least)
	}
	if *value > most {
		c.add(member, fmt.Sprintf("'%d'", *value), "Member must have value less than or equal to %d", most)
	}
}

// Count holds a list to how many it may have.
func (c *Checks) Count(member string, n, least, most int) {
	if n < least {
		c.add(member, "'[]'", "Member must have length greater than or equal to %d", least)
	}
	if n > most {
		c.add(member, fmt.Sprintf("'[... %d of them]'", n), "Member must have length less than or equal to %d", most)
	}
}

// Err is what the request is refused with, or nil.
func (c *Checks) Err() *wire.Error {
	switch n := len(c.failed); n {
	case 0:
		return nil
	case 1:
		return wire.Errorf(Code, "1 validation error detected: %s", c.failed[0])
	default:
		return wire.Errorf(Code, "%d validation errors detected: %s", n, strings.Join(c.failed, "; "))
	}
}

// Decode reads the JSON of a request into *in. AWS ignores members that it does not know; here they are refused, because most of
// them are features that are not implemented, and to ignore those would mislead. The error names the member.
func Decode(body []byte, in any) *wire.Error {
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, in, json.RejectUnknownMembers(true)); err != nil {
		return wire.Errorf(Code, "localstack cannot read the request, or does not implement a member of it: %v", err)
	}
	return nil
}

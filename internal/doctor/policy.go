package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
)

// openTo says by which statement the policy of a queue or a topic lets everybody
// in: it allows, for the principal *, without a condition. "": by none.
func openTo(text string) (statement string, err error) {
	if text == "" {
		return "", nil
	}
	var document struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return "", err
	}
	type st struct {
		Sid, Effect string
		Principal   json.RawMessage
		Condition   map[string]json.RawMessage
	}
	var list []st
	if err := json.Unmarshal(document.Statement, &list); err != nil {
		var single st // IAM takes one without the brackets
		if err := json.Unmarshal(document.Statement, &single); err != nil {
			return "", err
		}
		list = []st{single}
	}
	for i, s := range list {
		if s.Effect != "Allow" || len(s.Condition) > 0 || !everybody(s.Principal) {
			continue
		}
		if s.Sid != "" {
			return s.Sid, nil
		}
		return fmt.Sprintf("number %d", i+1), nil
	}
	return "", nil
}

// everybody is "*", {"AWS": "*"} and {"AWS": ["*"]}.
func everybody(principal json.RawMessage) bool {
	var kinds map[string]json.RawMessage
	if json.Unmarshal(principal, &kinds) != nil {
		return strings.TrimSpace(string(principal)) == `"*"`
	}
	var list []string
	if json.Unmarshal(kinds["AWS"], &list) != nil {
		var single string
		_ = json.Unmarshal(kinds["AWS"], &single) // then it names nobody
		list = []string{single}
	}
	for _, who := range list {
		if who == "*" {
			return true
		}
	}
	return false
}

// judgePolicy judges who a queue's or a topic's policy lets in. what they could
// do is in words.
func judgePolicy(text, what string) Finding {
	statement, err := openTo(text)
	switch {
	case err != nil:
		return Unchecked("the policy cannot be read: "+err.Error(), "look at it by hand")
	case statement != "":
		return Poor(fmt.Sprintf("everybody, in whichever account, may %s: the statement %s of its policy allows Principal * without a condition", what, statement),
			"name who may, or add a condition on aws:SourceArn, aws:SourceAccount or aws:PrincipalOrgID")
	}
	return Good("its policy lets nobody in without a condition")
}

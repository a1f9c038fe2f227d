package localstack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/events/target"
)

// wrongs are the answers that an operation can give in place of a true one, as Fault.Wrong names them.
var wrongs = map[string][]string{
	"events:Invoke":    {target.Twice}, // a rule fires twice
	"scheduler:Invoke": {target.Twice}, // a schedule runs twice
}

// checkWrong refuses a fault whose wrong answer its operation does not have.
func checkWrong(f Fault) error {
	if f.Wrong == "" || slices.Contains(wrongs[f.Operation], f.Wrong) {
		return nil
	}
	if names, ok := wrongs[f.Operation]; ok {
		return fmt.Errorf("%s has no wrong answer %q; it has %s", f.Operation, f.Wrong, strings.Join(names, ", "))
	}
	return fmt.Errorf("%q has no wrong answers; these have: %s", f.Operation, strings.Join(slices.Sorted(maps.Keys(wrongs)), ", "))
}

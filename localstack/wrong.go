package localstack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/ec2"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/target"
)

// wrongs are the answers that an operation can give in place of a true one, as Fault.Wrong names them. Each service says which; a rule
// or a schedule can fire twice.
var wrongs = func() map[string][]string {
	all := map[string][]string{"events:Invoke": {target.Twice}, "scheduler:Invoke": {target.Twice}}
	for _, of := range []map[string][]string{ec2.Wrongs, sqs.Wrongs()} {
		maps.Copy(all, of)
	}
	return all
}()

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

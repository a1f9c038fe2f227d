// Package faults sends requests to a real worker on a real XFS and a real
// MariaDB under load, and lets one thing go wrong with each: every call to EC2,
// SQS and SNS in every way in which a call can fail, the database, somebody
// else's freezes and thaws, a full disk, a clock that jumps. What may come of
// it stands in a table in the code (rows_*_test.go), is compared with what is
// seen, and is checked in as docs/faults.md.
package faults

import (
	"flag"
	"os"
	"testing"

	"stillpoint/test/rig"
)

var (
	long   = flag.Bool("long", false, "run every cell of the matrix, not only the most telling ones")
	update = flag.Bool("update", false, "write docs/faults.md; with -long after every cell was seen to be as it says")
)

// program is the program under test, built once with the race detector and the test hooks.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(rig.Main(m, &program, "-race", "-tags", "torture"))
}

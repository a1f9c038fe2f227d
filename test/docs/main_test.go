// Package docs runs what the documents tell their readers to run: each fenced sh
// block and each inline `stillpoint ...` of the documents that commands_test.go
// lists (of the others it says why not), on the stage of the end-to-end tests
// (MariaDB on XFS, the local AWS with both templates deployed), and holds their
// tables against the program. What cannot be run there is played by a stand-in
// that checks how it is called (standins_test.go); a program that nobody knows
// fails the test.
package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"stillpoint/test/rig"
)

// root is the repository.
const root = "../.."

// program is the program under test, built once with the race detector.
var program string

func TestMain(m *testing.M) {
	if at := os.Getenv(standInAddress); at != "" {
		os.Exit(playStandIn(at))
	}
	os.Exit(rig.Main(m, &program, "-race"))
}

// standInAddress names, in the environment of a stand-in, the socket at which the test listens.
const standInAddress = "STILLPOINT_DOCS_STAND_IN"

// call is how a stand-in was called, reply what it is to do.
type (
	call  struct{ Args []string }
	reply struct {
		Text string
		Code int
	}
)

// playStandIn is this binary under the name of a program that cannot run here: it asks the test what that would have said.
func playStandIn(at string) int {
	c, err := net.Dial("unix", at)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	defer func() { _ = c.Close() }()
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	var r reply
	if err := errors.Join(json.NewEncoder(c).Encode(call{args}), json.NewDecoder(c).Decode(&r)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	fmt.Print(r.Text)
	return r.Code
}

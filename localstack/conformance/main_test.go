package conformance

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write docs/behaviours.md anew (TestDocument); print the list of moto's differences as it is now (TestMoto)")

// workers is how many rows run at once, unless -parallel says more: most of them wait.
const workers = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", workers) // the flag is there
	}
	goleak.VerifyTestMain(m)
}

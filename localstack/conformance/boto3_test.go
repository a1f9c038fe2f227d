package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"sync"
)

// missing says that the machine does not have the client. It is empty if it has.
func (c client) missing() string {
	switch c {
	case viaCLI:
		if _, err := exec.LookPath("aws"); err != nil {
			return "the aws CLI is not on this machine: pip install awscli"
		}
	case viaBoto3:
		if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
			return "python3 with boto3 is not on this machine: pip install boto3"
		}
	}
	return ""
}

// boto3 is what testdata/boto3_checks.py saw of a target, by row. It is run once.
type boto3 struct {
	once sync.Once
	err  error
	saw  map[string]map[string]any
}

// run runs all checks of the script. They are not part of a row, whose context would end them for the others.
func (b *boto3) run(of *target) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "testdata/boto3_checks.py", of.url)
	cmd.Env = of.env()
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	b.err = cmd.Run()
	if b.err != nil {
		b.err = fmt.Errorf("cannot run testdata/boto3_checks.py: %w\n%s", b.err, log.Bytes())
	}
	b.saw = map[string]map[string]any{}
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		var line struct {
			ID  string         `json:"id"`
			Saw map[string]any `json:"saw"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			b.err = fmt.Errorf("testdata/boto3_checks.py printed %q: %w", lines.Text(), err)
			return
		}
		b.saw[line.ID] = line.Saw
	}
}

// sees expects that the script saw this of the row. What it was asked to see are the keys of want, and no others.
func sees(want map[string]any) func(c *check) {
	return func(c *check) {
		c.boto3.once.Do(func() { c.boto3.run(c.target) })
		c.need("the script runs", c.boto3.err == nil, c.boto3.err)
		saw, ok := c.boto3.saw[c.row.ID]
		c.need("the script has that row", ok)
		if trouble, ok := saw["error"]; ok {
			c.need("it runs to its end", false, trouble)
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			c.equal(key, saw[key], want[key])
		}
		for _, key := range slices.Sorted(maps.Keys(saw)) {
			if _, ok := want[key]; !ok {
				c.is("the row knows of "+key, false, saw[key])
			}
		}
	}
}

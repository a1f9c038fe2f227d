package freeze

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// worker arms and freezes what its arguments name, says so and never thaws.
// The first argument is its runtime directory, the second the time to the
// deadline, the third the RCU setting's file.
func worker(args []string) int {
	ctx := context.Background()
	hold, err := time.ParseDuration(args[1])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c := Config{
		Args: []string{"guardian"}, RuntimeDir: args[0], Expedite: args[2] != "", RCUPath: args[2],
		PostThaw: []string{"/bin/echo", "post thaw"}, PostThawTimeout: time.Second, Plan: "nightly",
	}
	g, err := New(c).Arm(ctx, args[3:])
	if err == nil {
		fmt.Println("armed", g.(*Guard).Report().Guardian, strings.Join(g.(*Guard).Report().Notes, "; "))
		if os.Getenv("TEST_OWE") != "" {
			g.(*Guard).Owe(true)
		}
		_, _ = os.Stdin.Read(make([]byte, 1)) // the word to go on
		err = g.Freeze(ctx, time.Now().Add(hold))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("frozen")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed, or told to end
	if _, err := g.Thaw(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("thawed")
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := g.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

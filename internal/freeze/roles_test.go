package freeze

import (
	"context"
	"fmt"
	"os"
	"time"
)

// worker arms and freezes what its arguments name, says so and never thaws.
func worker(mounts []string) int {
	ctx := context.Background()
	g, err := New(Config{Args: []string{"guardian"}}).Arm(ctx, mounts)
	if err == nil {
		fmt.Println("armed", g.(*Guard).Report().Guardian)
		err = g.Freeze(ctx, time.Now().Add(20*time.Second))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("frozen")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
	return 0
}

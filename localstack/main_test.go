package localstack_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stillpoint/localstack"
)

// victimDir makes the test binary serve from that folder until it is killed, see TestKilledServerLeavesNoDevice.
const victimDir = "LOCALSTACK_TEST_VICTIM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		s, err := localstack.Start(context.Background(), localstack.Config{Dir: dir, Unlimited: true})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.URL())
		time.Sleep(time.Minute) // it is killed long before
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

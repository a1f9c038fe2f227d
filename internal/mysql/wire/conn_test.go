package wire

import (
	"testing"

	driver "github.com/go-sql-driver/mysql"
)

// The driver must not write to standard error inside the window.
func TestDriverIsSilent(t *testing.T) {
	cfg, err := Target{network: "unix", addr: "/s"}.DriverConfig()
	if err != nil {
		t.Fatal(err)
	}
	if _, silent := cfg.Logger.(*driver.NopLogger); !silent {
		t.Errorf("the driver logs to a %T", cfg.Logger)
	}
}

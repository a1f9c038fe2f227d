package mysql

import (
	"strings"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	for want, cfg := range map[string]Config{
		"lock_timeout":      {LockTimeout: -1},
		"long_query_after":  {LongQueryAfter: -1},
		"preliminary_flush": {PreliminaryFlush: "sometimes"},
		"long_queries":      {LongQueries: "ignore"},
		"kill_after":        {LongQueries: "kill", KillAfter: -1},
		"kill_max_rows":     {LongQueries: "kill", KillMaxRows: -1},
		"leave one":         {Socket: "/s", Host: "db"},
	} {
		d, err := New(cfg)
		if err == nil {
			err = d.Check()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

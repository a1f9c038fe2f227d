package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Work that does not end is left behind when the time is up, and not before.
func TestEndInTime(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		work time.Duration // after the stop; negative: before it
		err  error
		want error
		took time.Duration // from the start; the stop comes after an hour
	}{
		"ends with the stop":   {time.Minute, nil, nil, time.Hour + time.Minute},
		"fails while it stops": {time.Minute, failed, failed, time.Hour + time.Minute},
		"fails before":         {-time.Minute, failed, failed, time.Hour - time.Minute},
		"never ends":           {24 * time.Hour, nil, errOverdue, time.Hour + 90*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				err := endInTime(ctx, func() time.Duration { return 90 * time.Second }, func() error {
					time.Sleep(time.Hour + c.work)
					return c.err
				})
				if took := time.Since(start); !errors.Is(err, c.want) || took != c.took {
					t.Errorf("%v after %s", err, took)
				}
				time.Sleep(48 * time.Hour)
			})
		})
	}
}

package soak

import (
	"context"
	"fmt"
	"strings"
	"time"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

// collect hears every result until ctx ends, and now and then has SQS deliver
// a message of a finished request once more.
func (s *soak) collect(ctx context.Context) {
	dice := s.dice(3)
	queue := s.QueueURL[strings.LastIndexByte(s.QueueURL, '/')+1:]
	for ctx.Err() == nil {
		d, err := s.NextResult(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.ledger.hear(&messages.Result{}, fmt.Sprintf("a result that cannot be read: %v", err))
				rest(ctx, time.Second)
			}
			continue
		}
		complaint := ""
		if strings.Contains(d.Body, scene.Password) {
			complaint = "the result of " + d.Result.RequestID + " holds the database password"
		}
		s.ledger.hear(d.Result, complaint)
		if !usesID(d.Result) || dice.IntN(25) > 0 || s.quiet.Load() {
			continue
		}
		for _, id := range s.ledger.messageIDs(d.Result.RequestID) {
			rest(ctx, 50*time.Millisecond) // it is deleted about now
			if s.AWS.DeliverAgain(queue, id) == nil {
				s.count(func() { s.done.again++ })
				break
			}
		}
	}
}

// purge keeps the binlog from filling the volume.
func (s *soak) purge(ctx context.Context) {
	for rest(ctx, time.Minute) {
		for _, q := range []string{"FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() - INTERVAL 30 SECOND"} {
			call, cancel := context.WithTimeout(ctx, 30*time.Second)
			_, err := s.Server.DB().ExecContext(call, q)
			cancel()
			if err != nil && ctx.Err() == nil {
				s.Say("%s: %v", q, err)
			}
		}
	}
}

// progress says how it goes.
func (s *soak) progress(ctx context.Context) {
	begun := time.Now()
	for rest(ctx, 10*time.Second) {
		n, events, _ := s.ledger.count()
		calls, hit := s.calls.totals()
		kills := 0
		s.count(func() {
			for _, k := range s.done.kills {
				kills += k
			}
		})
		line := fmt.Sprintf("%4.0fs  %4d sent, %4d results, %2d kills, %d of %d calls faulty so far", time.Since(begun).Seconds(), n, events, kills, hit, calls)
		if pid, err := s.keeper.running(ctx); err == nil {
			if p, err := look(ctx, pid, s.keeper.port); err == nil {
				line += "; worker: " + p.String()
			}
		}
		s.Say("%s", line)
	}
}

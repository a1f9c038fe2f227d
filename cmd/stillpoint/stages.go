package main

import (
	"fmt"
	"time"

	"stillpoint/internal/config"
	"stillpoint/worker"
)

// announce makes every run of the runner tell the monitor where it is. The
// pipeline speaks of its stages outside the window only.
func (r *runner) announce(m *worker.Monitor) {
	r.monitor = m
	for name, pipeline := range r.pipelines {
		plan, told, try := r.file.Plans[name], pipeline.Progress, 0
		pipeline.Progress = func(stage, note string) {
			doing := stage
			if stage == "lock" {
				if try++; note == "" {
					try = 1
				}
				doing = fmt.Sprintf("lock (try %d of %d)", try, plan.MySQL.LockTries)
			}
			m.Expect(worker.LoopRequests, doing, silence(plan, stage))
			told(stage, note)
		}
	}
}

// silence is how long a run may say nothing more after it has named a stage.
// It bounds what belongs to the stage and is announced by no other: a run that
// is silent for longer hangs.
func silence(p *config.Plan, stage string) time.Duration {
	const (
		slack   = time.Minute
		calls   = 3 * time.Minute // of 15 s each at the most: EC2, SQS, the database, the guardian
		flush   = 5 * time.Minute // syncfs before a try
		lookUps = 7 * time.Minute // three and a half minutes of waits, and a call between each two
		limits  = 3 * time.Minute // the longest wait at a limit of EC2's
	)
	switch stage {
	case "look-up", "resolve", "preflight", "tag":
		return calls + slack
	case "spread":
		return p.StartWithin + slack
	case "reconcile":
		return lookUps + calls + slack
	case "quota":
		return limits + calls + slack
	case "intent", "lock", "flush", "stop-applier": // up to the unlock and what follows it
		d := flush + calls + p.MaxHold + slack
		if p.MySQL != nil {
			d += p.MySQL.LockTimeout + p.MySQL.LockSleep
		}
		if len(p.PostThaw) > 0 { // once more after the unlock, where max_hold cut it short
			d += p.HookTimeout
		}
		return d
	default:
		return time.Hour + p.MaxHold
	}
}

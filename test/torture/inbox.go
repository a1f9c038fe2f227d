package main

import (
	"context"
	"slices"
	"sync"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

// inbox keeps every result that SNS delivers, by request.
type inbox struct {
	stop func()

	mu  sync.Mutex
	all map[string][]*messages.Result
	err error
}

// collect listens until stop is called.
func collect(ctx context.Context, sc *scene.Scene) *inbox {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	in := &inbox{all: map[string][]*messages.Result{}}
	done := make(chan struct{})
	in.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		for {
			d, err := sc.NextResult(ctx)
			if ctx.Err() != nil {
				return
			}
			in.mu.Lock()
			if err != nil {
				in.err = err
				in.mu.Unlock()
				return
			}
			in.all[d.Result.RequestID] = append(in.all[d.Result.RequestID], d.Result)
			in.mu.Unlock()
		}
	}()
	return in
}

// of returns what was delivered for a request, each event once, in the order of their first arrival.
func (in *inbox) of(id string) (results []*messages.Result, deliveries int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, r := range in.all[id] {
		if !slices.ContainsFunc(results, func(o *messages.Result) bool { return o.EventID == r.EventID }) {
			results = append(results, r)
		}
	}
	return results, len(in.all[id]), in.err
}

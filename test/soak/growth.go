package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what a worker had at one moment.
type sample struct {
	descriptors, goroutines float64
	rss, heap               float64 // MiB
}

func (p sample) String() string {
	return fmt.Sprintf("%.0f descriptors, %.0f goroutines, RSS %.1f MiB, heap in use %.1f MiB", p.descriptors, p.goroutines, p.rss, p.heap)
}

// growth are the samples of one worker over the stretch without kills.
type growth struct{ samples []sample }

// client keeps no connection: one would be a descriptor and goroutines of the worker's.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}

// look takes a sample of a running worker.
func look(ctx context.Context, pid, port int) (p sample, err error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return p, err
	}
	p.descriptors = float64(len(fds))
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return p, err
	}
	// Not the proportional set: what the guardian shares, while there is one, halves it.
	p.rss = field(string(memory), "Rss:") / 1024
	body, err := get(ctx, port, "/metrics")
	if err != nil {
		return p, err
	}
	p.goroutines = field(body, "go_goroutines")
	p.heap = field(body, "go_memstats_heap_inuse_bytes") / (1 << 20)
	if p.rss == 0 || p.goroutines == 0 || p.heap == 0 {
		return p, fmt.Errorf("cannot read the worker's figures: %s", p)
	}
	return p, nil
}

// field is the number after a name at the beginning of a line; 0 where it is not there.
func field(text, name string) float64 {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == name {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n
		}
	}
	return 0
}

func get(ctx context.Context, port int, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func (s *soak) healthy(ctx context.Context) bool {
	_, err := get(ctx, s.keeper.port, "/healthz")
	return err == nil
}

// steady sends the rest to one worker and samples it.
func (s *soak) steady(ctx context.Context, send *sender) error {
	pid, err := s.keeper.running(ctx)
	if err != nil {
		return err
	}
	sampling, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for rest(sampling, s.every()) {
			if p, err := look(sampling, pid, s.keeper.port); err == nil {
				s.growth.samples = append(s.growth.samples, p)
			}
		}
	}()
	err = send.upTo(ctx, s.Messages)
	stop()
	<-done
	if now, lost := s.keeper.running(ctx); lost != nil || now != pid {
		err = errors.Join(err, fmt.Errorf("the worker %d did not live through the stretch without kills: %d runs now", pid, now))
	}
	return err
}

// every is how often a sample is taken: some hundred over the stretch.
func (s *soak) every() time.Duration {
	if s.CheckMemory {
		return time.Second
	}
	return 200 * time.Millisecond
}

// ends are what the worker had at the beginning and at the end of the stretch.
// Those before it has settled, a tenth, are left out. Of memory it is the median
// of a tenth. Descriptors and goroutines come and go with every run (a sample
// may fall into one or not, and a run may take as long as a tenth), so of them it
// is the least in a third: what leaks is never given back, and raises that.
func (g *growth) ends() (first, last sample, n int) {
	rest := g.samples[len(g.samples)/10:]
	n = len(rest) / 10
	if n == 0 {
		return first, last, 0
	}
	first, last = median(rest[:n]), median(rest[len(rest)-n:])
	third := len(rest) / 3
	first.floor(rest[:third])
	last.floor(rest[len(rest)-third:])
	return first, last, n
}

// floor sets what comes and goes to the least of the samples.
func (p *sample) floor(samples []sample) {
	for _, s := range samples {
		p.descriptors, p.goroutines = min(p.descriptors, s.descriptors), min(p.goroutines, s.goroutines)
	}
}

func median(samples []sample) (m sample) {
	of := func(f func(sample) float64) float64 {
		var v []float64
		for _, p := range samples {
			v = append(v, f(p))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return sample{
		descriptors: of(func(p sample) float64 { return p.descriptors }), goroutines: of(func(p sample) float64 { return p.goroutines }),
		rss: of(func(p sample) float64 { return p.rss }), heap: of(func(p sample) float64 { return p.heap }),
	}
}

// What may be more at the end than at the beginning: a connection that is kept
// is a descriptor and two goroutines, and the heap breathes with the collector.
const (
	moreDescriptors = 4
	moreGoroutines  = 5
	moreMemory      = 0.25 // of it, and
	moreMiB         = 4
)

// grown says what has grown by more than that.
func (g *growth) grown(memory bool) (out []string) {
	first, last, n := g.ends()
	if n == 0 {
		return []string{fmt.Sprintf("only %d samples of the worker were taken: too few to see growth", len(g.samples))}
	}
	check := func(what string, from, to, more float64) {
		if to > from+more {
			out = append(out, fmt.Sprintf("%s grew from %.1f to %.1f over the stretch without kills", what, from, to))
		}
	}
	check("descriptors", first.descriptors, last.descriptors, moreDescriptors)
	check("goroutines", first.goroutines, last.goroutines, moreGoroutines)
	if memory {
		check("RSS (MiB)", first.rss, last.rss, first.rss*moreMemory+moreMiB)
		check("heap in use (MiB)", first.heap, last.heap, first.heap*moreMemory+moreMiB)
	}
	return out
}

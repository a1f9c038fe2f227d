package sqs

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// The store does what a plain list would do, whatever happens in whichever order.
func TestStoreIsAList(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test that can be repeated
		var st store
		st.empty()
		now := time.Unix(1_700_000_000, 0)
		retention := time.Minute
		var list []*message // in the order of arrival
		for serial := uint64(1); serial < 200; serial++ {
			switch random.IntN(5) {
			case 0, 1:
				m := &message{serial: serial, sentAt: now.Add(-time.Duration(random.IntN(30)) * time.Second), visibleAt: now.Add(time.Duration(random.IntN(3)) * time.Second)}
				st.add(m, now)
				list = append(list, m)
			case 2: // received, or made visible
				if len(list) > 0 {
					m := list[random.IntN(len(list))]
					st.lift(m)
					m.receipt = "x"
					m.visibleAt = now.Add(time.Duration(random.IntN(20)) * time.Second)
					st.settle(m, now)
				}
			case 3:
				if len(list) > 0 {
					i := random.IntN(len(list))
					st.remove(list[i])
					list = slices.Delete(list, i, i+1)
				}
			case 4:
				now = now.Add(time.Duration(random.IntN(10)) * time.Second)
			}
			st.elapse(now, retention)
			list = slices.DeleteFunc(list, func(m *message) bool { return now.Sub(m.sentAt) > retention })
			check(t, seed, &st, list, now)
		}
	}
}

func check(t *testing.T, seed uint64, st *store, list []*message, now time.Time) {
	t.Helper()
	var first *message
	visible, delayed := 0, 0
	for _, m := range list {
		switch {
		case !m.visibleAt.After(now):
			visible++
			if first == nil {
				first = m
			}
		case m.receipt == "":
			delayed++
		}
	}
	if st.visible.first() != first || st.visible.Len() != visible || st.delayed != delayed ||
		st.inFlight() != len(list)-visible-delayed || len(st.all) != len(list) || st.ages.Len() != len(list) {
		t.Fatalf("seed %d: %d visible, %d delayed, %d in flight, %d at all; want %d, %d, %d, %d; first %v, want %v",
			seed, st.visible.Len(), st.delayed, st.inFlight(), len(st.all), visible, delayed, len(list)-visible-delayed, len(list), st.visible.first(), first)
	}
}

// Messages come back to where they were: what was sent first is received first, also after it was hidden.
func TestOrder(t *testing.T) {
	s := newService(t)
	q := makeQueue(t, s, "q", text{"VisibilityTimeout": "1"})
	for i := range 30 {
		must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": fmt.Sprint(i)}, nil)
	}
	receive(t, s, q)
	receive(t, s, q)
	s.Clock.Move(2 * time.Second)
	var bodies []string
	for range 3 {
		for _, m := range receive(t, s, q) {
			bodies = append(bodies, m.Body)
		}
	}
	for i, body := range bodies {
		if body != fmt.Sprint(i) {
			t.Fatalf("they came as %v", bodies)
		}
	}
	if len(bodies) != 30 {
		t.Errorf("%d came", len(bodies))
	}
}

// After many messages have gone through a queue, the memory that they took is free again; and if the queue is empty, that of its own
// lists as well.
func TestMemoryComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		left  int // messages in flight all the while
		share int64
	}{"empty": {0, 50}, "ten are left": {10, 10}} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			q := makeQueue(t, s, "q", text{"VisibilityTimeout": "600"})
			through(t, s, q, 100)
			fill(t, s, q, c.left)
			if c.left > 0 {
				receive(t, s, q)
			}
			before := heapUse()
			fill(t, s, q, 10_000)
			full := heapUse()
			drain(t, s, q, 10_000)
			after := heapUse()
			t.Logf("heap: %d KiB before, %d KiB with 10,000 messages, %d KiB after", before>>10, full>>10, after>>10)
			if full-before < 4<<20 {
				t.Errorf("10,000 messages took %d KiB: this measures nothing", (full-before)>>10)
			}
			if after-before > (full-before)/c.share {
				t.Errorf("%d KiB are still in use of the %d that 10,000 messages took", (after-before)>>10, (full-before)>>10)
			}
			runtime.KeepAlive(s)
		})
	}
}

func heapUse() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func fill(t testing.TB, s *Service, q string, n int) {
	body := string(slices.Repeat([]byte("x"), 500))
	entries := make([]sendInput, 10)
	for i := range entries {
		entries[i] = sendInput{Id: fmt.Sprint(i), MessageBody: &body}
	}
	for range n / 10 {
		must(t, s, "SendMessageBatch", batchInput[sendInput]{q, entries}, nil)
	}
}

func drain(t testing.TB, s *Service, q string, n int) {
	for left := n; left > 0; {
		var entries []handleInput
		got := receive(t, s, q)
		if len(got) == 0 {
			t.Fatalf("%d messages are missing", left)
		}
		for i, m := range got {
			entries = append(entries, handleInput{Id: fmt.Sprint(i), ReceiptHandle: m.ReceiptHandle})
		}
		must(t, s, "DeleteMessageBatch", batchInput[handleInput]{q, entries}, nil)
		left -= len(got)
	}
}

func through(t testing.TB, s *Service, q string, n int) {
	fill(t, s, q, n)
	drain(t, s, q, n)
}

// BenchmarkThrough is a message on its way: sent, received and deleted, ten at a time, with that many others in the queue, all of
// which are in flight, as on a bad day.
func BenchmarkThrough(b *testing.B) {
	for _, others := range []int{0, 1_000, 119_900} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			s := newService(b)
			q := makeQueue(b, s, "q", text{"VisibilityTimeout": "43200"})
			fill(b, s, q, others)
			for range others / 10 {
				receive(b, s, q)
			}
			b.ResetTimer()
			for range b.N/10 + 1 {
				through(b, s, q, 10)
			}
		})
	}
}

// With 20,000 messages in flight a call takes no more memory than with none: nothing copies the queue. How long it takes is what
// BenchmarkThrough tells.
func TestNoCallCopiesTheQueue(t *testing.T) {
	took := func(others int) uint64 {
		s := newService(t)
		q := makeQueue(t, s, "q", nil)
		fill(t, s, q, others)
		for range others / 10 {
			receive(t, s, q)
		}
		through(t, s, q, 500)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		through(t, s, q, 500)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	alone, among := took(0), took(20_000)
	t.Logf("500 messages: %d KiB alone, %d KiB among 20,000 in flight", alone>>10, among>>10)
	if among > 2*alone {
		t.Errorf("500 messages took %d KiB alone and %d KiB among 20,000 in flight", alone>>10, among>>10)
	}
}

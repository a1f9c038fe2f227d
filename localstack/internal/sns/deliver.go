package sns

import (
	"net/http"
	"slices"
	"time"

	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
)

// delivery is one message on its way to one endpoint. What it carries does not change; the lock of the service is for the rest.
type delivery struct {
	topicARN    string
	sub         *subscription // nil: to a dead-letter queue
	kind        string
	messageID   string
	endpoint    string // an ARN of a queue or a URL
	web         bool
	raw         bool
	text        string
	attributes  map[string]sqs.Attribute
	group       string
	seal        *sealed
	unsubscribe string // the link; empty: none
	contentType string
	delays      retries
	perSecond   int // throttle; zero: none

	serial   int
	attempts int
	due      time.Time // of the next attempt
	waiting  bool      // for that
	turn     bool      // it has had its wait for the throttle
	reason   string    // of the last failure
}

// body is what a web hook is sent.
func (d *delivery) body() (string, error) {
	if d.raw && d.web {
		return d.text, nil
	}
	return d.seal.write(d.unsubscribe)
}

// start runs a delivery by itself. The lock is held.
func (s *Service) start(d *delivery) {
	if s.closed {
		return
	}
	s.enter(d)
	s.joined.Go(func() { s.run(d) })
}

func (s *Service) enter(d *delivery) {
	if d.serial == 0 {
		d.serial = s.next()
		s.under[d] = struct{}{}
	}
}

// later runs a delivery when its time has come: in the goroutine of who moves the clock, so that what follows on a failure is in
// time for the same move. The lock is held.
func (s *Service) later(d *delivery, wait time.Duration) {
	d.due, d.waiting = s.Clock.Now().Add(wait), true
	s.Clock.AfterFunc(wait, func() {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		s.joined.Add(1)
		d.waiting = false
		s.mu.Unlock()
		defer s.joined.Done()
		s.run(d)
	})
}

// run tries a delivery until it is done, given up, or has to wait.
func (s *Service) run(d *delivery) {
	for {
		s.mu.Lock()
		s.enter(d)
		if s.dropped(d) {
			delete(s.under, d)
			s.mu.Unlock()
			return
		}
		if wait := s.throttle(d); wait > 0 {
			s.later(d, wait)
			s.mu.Unlock()
			return
		}
		d.turn = false
		d.attempts++
		attempt := d.attempts
		s.mu.Unlock()
		apiErr := s.try(d, attempt)
		again, dead := s.settle(d, apiErr)
		if dead != nil {
			s.run(dead)
		}
		if !again {
			return
		}
	}
}

// dropped tells whether nobody waits for the delivery any more. What AWS does with messages that are being tried again for a
// subscription that has ended is not known; here they end with it.
func (s *Service) dropped(d *delivery) bool {
	switch {
	case d.sub == nil:
		return false
	case d.sub.state == gone, d.kind == notificationKind && d.sub.state != confirmed:
		s.Log.Info().Str("topic", d.topicARN).Str("endpoint", d.endpoint).Str("message_id", d.messageID).Msg("message dropped: its subscription has ended")
		return true
	}
	return false
}

// try does one attempt.
func (s *Service) try(d *delivery, attempt int) *wire.Error {
	caller := wire.Caller{Principal: Principal, Account: s.Account, Region: s.Region, Source: d.topicARN}
	if d.web {
		_, apiErr := s.Invoke(s.Life, caller, s.post(d, attempt))
		return apiErr
	}
	m, err := d.payload()
	if err != nil {
		return wire.Errorf("InternalError", "cannot write the message: %v", err)
	}
	if d.raw && d.sub != nil && len(d.attributes) > maxRawAttributes {
		return wire.Errorf(invalidParameter, "raw delivery to SQS carries %d attributes, and there are %d", maxRawAttributes, len(d.attributes))
	}
	_, apiErr := s.Invoke(s.Life, caller, s.sqs.Deliver(d.endpoint, m))
	return apiErr
}

// settle does what follows on an attempt. again says to try again at once; dead is the delivery to the dead-letter queue.
func (s *Service) settle(d *delivery, apiErr *wire.Error) (again bool, dead *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if apiErr == nil {
		delete(s.under, d)
		return false, nil
	}
	d.reason = apiErr.Code + ": " + apiErr.Message
	if s.closed || s.Life.Err() != nil {
		delete(s.under, d)
		return false, nil
	}
	wait, more := d.delays.delay(d.attempts)
	if transient(apiErr) && more {
		if wait == 0 {
			return true, nil
		}
		s.later(d, wait)
		return false, nil
	}
	delete(s.under, d)
	return false, s.bury(d)
}

// throttle says how long an attempt has to wait for its turn, once. The lock is held.
func (s *Service) throttle(d *delivery) time.Duration {
	if d.perSecond == 0 || d.sub == nil || d.turn {
		return 0
	}
	d.turn = true
	now := s.Clock.Now()
	turn := now
	if d.sub.free.After(now) {
		turn = d.sub.free
	}
	d.sub.free = turn.Add(time.Second / time.Duration(d.perSecond))
	return turn.Sub(now)
}

// bury makes the delivery of a message to the dead-letter queue of its subscription. Without one it is lost, silently on AWS. A
// message that was to be raw and has too many attributes for that gets its envelope there: what AWS does with it is not known. The
// questions to web hooks are not buried.
func (s *Service) bury(d *delivery) *delivery {
	warn := s.Log.Warn().Str("topic", d.topicARN).Str("endpoint", d.endpoint).Str("message_id", d.messageID).Int("attempts", d.attempts).Str("error", d.reason)
	if d.sub == nil || d.sub.dead == "" || d.kind != notificationKind {
		warn.Msg("message discarded: it cannot be delivered")
		return nil
	}
	warn.Str("queue", d.sub.dead).Msg("message goes to the dead-letter queue of its subscription")
	return &delivery{
		topicARN: d.topicARN, kind: d.kind, messageID: d.messageID, endpoint: d.sub.dead, raw: d.raw, text: d.text,
		attributes: d.attributes, group: d.group, seal: d.seal, unsubscribe: d.unsubscribe, delays: managedRetries,
	}
}

// throttled are the codes of SQS's and of common errors that say to come back later, although they blame the client.
var throttled = []string{"RequestThrottled", "ThrottlingException", "Throttling", "Throttled", "TooManyRequestsException"}

// transient tells whether to try again: after errors of the server, lost answers and throttling. "SNS does not retry the delivery of
// messages that failed as the result of client errors":
// https://aws.amazon.com/blogs/compute/designing-durable-serverless-apps-with-dlqs-for-amazon-sns-amazon-sqs-aws-lambda/
func transient(e *wire.Error) bool {
	switch e.Code {
	case "Dropped", unreachable:
		return true
	case notLoopback:
		return false
	}
	return e.Receiver() || e.HTTPStatus() == http.StatusTooManyRequests || slices.Contains(throttled, e.Code)
}

package sqs

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/wire"
)

// What happens to message movement tasks: the requests and errors were recorded from AWS in
// https://github.com/localstack/localstack/blob/main/tests/aws/services/sqs/test_sqs_move_task.snapshot.json, the rest is in
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html and
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
const (
	running   = "RUNNING"
	completed = "COMPLETED"
	cancelled = "CANCELLED"
	failed    = "FAILED"

	maxMoveRate = 500 // messages per second; what a task without a rate of its own does here
	maxMoveTime = 36 * time.Hour
	keptTasks   = 10  // of a queue
	maxRunning  = 100 // tasks of an account
	noSource    = "CouldNotDetermineMessageSource"
)

// MoveTask is a message movement task as ListMessageMoveTasks tells it.
type MoveTask struct {
	TaskHandle                        string `json:",omitempty"` // while it runs
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:",omitempty"` // empty: each message goes to where it came from
	MaxNumberOfMessagesPerSecond      int    `json:",omitzero"`
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	FailureReason                     string `json:",omitempty"`
	StartedTimestamp                  int64  // milliseconds since 1970
}

// task moves the messages of a dead-letter queue elsewhere, some each second, by AWS's time.
type task struct {
	MoveTask
	id      string
	handle  string
	source  *queue
	started time.Time
	timer   *clock.Timer
}

func (t *task) stopTimer() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// show is what is to be seen of the task.
func (t *task) show() MoveTask {
	out := t.MoveTask
	if t.Status == running {
		out.TaskHandle = t.handle
	}
	return out
}

type moveInput struct {
	SourceArn                    string
	DestinationArn               string
	MaxNumberOfMessagesPerSecond *int
	TaskHandle                   string
	MaxResults                   *int
}

type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

type startMoveOutput struct{ TaskHandle string }

func (s *Service) startMoveTask(_ context.Context, c *wire.Call, in moveInput) (out startMoveOutput, _ *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source, apiErr := s.moveSource(c, "StartMessageMoveTask", in.SourceArn)
	if apiErr != nil {
		return out, apiErr
	}
	rate, apiErr := within("MaxNumberOfMessagesPerSecond", in.MaxNumberOfMessagesPerSecond, 1, maxMoveRate, 0)
	if apiErr != nil {
		return out, apiErr
	}
	used := false
	for _, q := range s.queues {
		used = used || s.sourceOf(source)(q)
	}
	active := 0
	for _, t := range s.tasks {
		if t.Status == running {
			active++
		}
	}
	destination := s.byARN(in.DestinationArn)
	switch {
	case !used:
		return out, wire.Errorf(invalidValue, "Source queue must be configured as a Dead Letter Queue.")
	case in.DestinationArn != "" && destination == nil:
		return out, wire.Errorf(notFound, "The resource that you specified for the DestinationArn parameter doesn't exist.")
	case destination == source: // a guess
		return out, wire.Errorf(invalidValue, "Source queue arn and destination queue arn must be different.")
	case s.running(source) != nil:
		return out, wire.Errorf(invalidValue, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	case active >= maxRunning: // documented; which error it is, is not
		return out, wire.Errorf(overLimit, "There are %d active message movement tasks in this account, which is the limit.", active)
	}
	s.pass(source)
	now := s.Clock.Now()
	t := &task{
		id: uuid.NewString(), source: source, started: now,
		MoveTask: MoveTask{
			Status: running, SourceArn: in.SourceArn, DestinationArn: in.DestinationArn, MaxNumberOfMessagesPerSecond: rate,
			ApproximateNumberOfMessagesToMove: source.visible.Len(), StartedTimestamp: now.UnixMilli(),
		},
	}
	text, err := json.Marshal(taskHandle{t.id, in.SourceArn})
	if err != nil {
		return out, wire.Errorf("InternalFailure", "cannot write the task's handle: %v", err)
	}
	t.handle = base64.StdEncoding.EncodeToString(text)
	s.keep(t)
	s.schedule(t, 0)
	return startMoveOutput{t.handle}, nil
}

// moveSource is the queue that a task's source names, if the caller may do the action.
func (s *Service) moveSource(c *wire.Call, action, arn string) (*queue, *wire.Error) {
	if arn == "" {
		return nil, missingParameter("SourceArn")
	}
	q := s.byARN(arn)
	if q == nil {
		return nil, wire.Errorf(notFound, "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	return q, s.authorize(c, action, q)
}

// running is the task that moves the messages of a queue, or nil.
func (s *Service) running(q *queue) *task {
	for _, t := range s.tasks {
		if t.source == q && t.Status == running {
			return t
		}
	}
	return nil
}

// keep adds a task, and forgets the oldest of its queue if there are too many.
func (s *Service) keep(t *task) {
	s.tasks = append(s.tasks, t)
	of := 0
	for i := len(s.tasks) - 1; i >= 0; i-- {
		if s.tasks[i].SourceArn != t.SourceArn {
			continue
		}
		if of++; of > keptTasks {
			s.tasks = append(s.tasks[:i], s.tasks[i+1:]...)
		}
	}
}

// schedule has the task move some messages after d.
func (s *Service) schedule(t *task, d time.Duration) {
	if s.closed {
		return
	}
	t.timer = s.Clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.Status == running {
			s.step(t)
		}
	})
}

// step moves what a second allows, the oldest first. The task is done when no message is visible; what is in flight stays.
func (s *Service) step(t *task) {
	rate := t.MaxNumberOfMessagesPerSecond
	if rate == 0 {
		rate = maxMoveRate
	}
	if s.queues[t.source.name] != t.source {
		t.Status, t.FailureReason = failed, noSuchQueue
		return
	}
	now := s.pass(t.source)
	for range rate {
		m := t.source.visible.first()
		if m == nil {
			t.Status = completed
			return
		}
		to := t.DestinationArn
		if to == "" {
			to = m.deadSource
		}
		destination := s.byARN(to)
		switch {
		case to == "":
			t.Status, t.FailureReason = failed, noSource
			return
		case destination == nil:
			t.Status, t.FailureReason = failed, noSuchQueue
			return
		}
		s.resend(m, t.source, destination, now)
		t.ApproximateNumberOfMessagesMoved++
	}
	switch {
	case t.source.visible.Len() == 0:
		t.Status = completed
	case now.Sub(t.started) >= maxMoveTime: // documented as the most that a task may take; the reason is a guess
		t.Status, t.FailureReason = failed, "Timeout"
	default:
		s.schedule(t, time.Second)
	}
}

// resend: "The redrive task resets the retention period. All redriven messages are considered new messages with a new messageID and
// enqueueTime".
func (s *Service) resend(m *message, from, to *queue, now time.Time) {
	from.remove(m)
	s.put(to, &message{
		id: uuid.NewString(), body: m.body, attributes: m.attributes, system: m.system, sender: m.sender, sentAt: now, visibleAt: now,
	}, now)
	s.pump(to)
}

type cancelMoveOutput struct{ ApproximateNumberOfMessagesMoved int }

func (s *Service) cancelMoveTask(_ context.Context, c *wire.Call, in moveInput) (out cancelMoveOutput, _ *wire.Error) {
	if in.TaskHandle == "" {
		return out, missingParameter("TaskHandle")
	}
	var h taskHandle
	raw, err := base64.StdEncoding.DecodeString(in.TaskHandle)
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil || h.TaskID == "" || h.SourceARN == "" {
		return out, wire.Errorf(invalidValue, "Value for parameter TaskHandle is invalid.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, apiErr := s.moveSource(c, "CancelMessageMoveTask", h.SourceARN); apiErr != nil {
		return out, apiErr
	}
	for _, t := range s.tasks {
		switch {
		case t.id != h.TaskID:
		case t.Status != running: // documented; the wording is a guess
			return out, wire.Errorf(invalidValue, "Only active tasks can be cancelled.")
		default:
			t.stopTimer()
			t.Status = cancelled
			return cancelMoveOutput{t.ApproximateNumberOfMessagesMoved}, nil
		}
	}
	return out, wire.Errorf(notFound, "Task does not exist.")
}

type listMovesOutput struct {
	Results []MoveTask `json:",omitempty"`
}

func (s *Service) listMoveTasks(_ context.Context, c *wire.Call, in moveInput) (out listMovesOutput, _ *wire.Error) {
	limit, apiErr := within("MaxResults", in.MaxResults, 1, keptTasks, 1)
	if apiErr != nil {
		return out, apiErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, apiErr := s.moveSource(c, "ListMessageMoveTasks", in.SourceArn); apiErr != nil {
		return out, apiErr
	}
	for i := len(s.tasks) - 1; i >= 0 && len(out.Results) < limit; i-- {
		if t := s.tasks[i]; t.SourceArn == in.SourceArn {
			out.Results = append(out.Results, t.show())
		}
	}
	return out, nil
}

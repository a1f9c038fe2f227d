package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// line is what a judgement comes to: the status, whether it was looked at, and a
// part of what it says or advises.
type line struct {
	status  Status
	checked bool
	says    string
}

func (l line) check(t *testing.T, name string, f Finding) {
	t.Helper()
	if f.Status != l.status || f.Checked != l.checked || !strings.Contains(f.Message+" -> "+f.Fix, l.says) {
		t.Errorf("%s: got %+v, want %+v", name, f, l)
	}
	if (f.Status == OK) != (f.Fix == "") {
		t.Errorf("%s: %s with the advice %q", name, f.Status, f.Fix)
	}
}

func TestJudgeClock(t *testing.T) {
	for name, tc := range map[string]struct {
		skew Skew
		want line
	}{
		"no answer":           {Skew{}, line{Warn, false, "no answer"}},
		"right":               {Skew{Known: true, Ahead: 300 * time.Millisecond, By: time.Second}, line{OK, true, "to 1s"}},
		"a little":            {Skew{Known: true, Ahead: -10 * time.Second, By: time.Second}, line{OK, true, "10s behind"}},
		"half a minute":       {Skew{Known: true, Ahead: 32 * time.Second, By: time.Second}, line{Warn, true, "32s ahead"}},
		"perhaps half":        {Skew{Known: true, Ahead: 32 * time.Second, By: 3 * time.Second}, line{OK, true, ""}},
		"behind":              {Skew{Known: true, Ahead: -5 * time.Minute, By: time.Second}, line{Fail, true, "5m0s behind"}},
		"ahead":               {Skew{Known: true, Ahead: 5 * time.Minute, By: time.Second}, line{Fail, true, "chronyd"}},
		"perhaps two minutes": {Skew{Known: true, Ahead: 121 * time.Second, By: 2 * time.Second}, line{Warn, true, ""}},
	} {
		tc.want.check(t, name, JudgeSkew(tc.skew))
	}
	line{OK, true, "daemon"}.check(t, "kept", JudgeSync(true, nil))
	line{Warn, true, "rtcsync"}.check(t, "not kept", JudgeSync(false, nil))
	line{Warn, false, "not permitted"}.check(t, "not told", JudgeSync(true, errors.New("not permitted")))
}

func TestJudgeMetadata(t *testing.T) {
	seen := Metadata{InstanceID: "i-1", Region: "eu-west-1", Role: "db"}
	for name, tc := range map[string]struct {
		m    Metadata
		told Told
		want line
	}{
		"answers":             {seen, Told{}, line{OK, true, "with the role db"}},
		"without a role":      {Metadata{InstanceID: "i-1", Region: "eu-west-1"}, Told{}, line{OK, true, "without an instance profile"}},
		"another id":          {seen, Told{InstanceID: "i-2", Region: "eu-west-1"}, line{Fail, true, "this is i-1"}},
		"another region":      {seen, Told{InstanceID: "i-1", Region: "us-east-1"}, line{Fail, true, "is in eu-west-1"}},
		"silent and needed":   {Metadata{Err: "no answer within 5s"}, Told{InstanceID: "i-1"}, line{Fail, true, "hop-limit 2"}},
		"silent, not needed":  {Metadata{Err: "no answer within 5s"}, Told{"i-1", "eu-west-1"}, line{Warn, false, "word is taken"}},
		"forbidden and needs": {Metadata{Off: true}, Told{Region: "eu-west-1"}, line{Fail, true, "nothing else says the instance id"}},
	} {
		tc.want.check(t, name, JudgeMetadata(tc.m, tc.told)[0])
	}
	if f := JudgeMetadata(Metadata{Off: true}, Told{"i-1", "eu-west-1"}); len(f) != 0 {
		t.Errorf("what may not be asked and is not needed is judged: %+v", f)
	}
}

func TestJudgeCredentials(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		c    Credentials
		want line
	}{
		"none":           {Credentials{Err: "no EC2 IMDS role found"}, line{Fail, true, "give the instance a profile"}},
		"a user's key":   {Credentials{Source: "EnvConfigCredentials"}, line{Warn, true, "does not expire"}},
		"a pasted token": {Credentials{Source: "EnvConfigCredentials", Session: true}, line{Warn, true, "nobody says when they end"}},
		"ended":          {Credentials{Source: "x", Session: true, Expires: now.Add(-time.Second)}, line{Fail, true, "ended"}},
		"end soon":       {Credentials{Source: "x", Session: true, Expires: now.Add(30 * time.Second)}, line{Warn, true, "within the time of a run"}},
		"the role's":     {Credentials{Source: "EC2RoleProvider", Metadata: true, Session: true, Expires: now.Add(time.Hour)}, line{OK, true, "the instance's role"}},
		"a container's":  {Credentials{Source: "CredentialsEndpointProvider", Session: true, Expires: now.Add(time.Hour)}, line{OK, true, "CredentialsEndpointProvider"}},
	} {
		tc.want.check(t, name, JudgeCredentials(tc.c, now, time.Minute))
	}
	line{OK, true, "db/i-1"}.check(t, "me", JudgeCaller("arn:aws:sts::1:assumed-role/db/i-1", "i-1"))
	line{Warn, true, "another instance"}.check(t, "a clone's", JudgeCaller("arn:aws:sts::1:assumed-role/db/i-2", "i-1"))
	line{OK, true, "ops/mary"}.check(t, "a person", JudgeCaller("arn:aws:sts::1:assumed-role/ops/mary", "i-1"))
	line{Warn, true, "root user"}.check(t, "root", JudgeCaller("arn:aws:iam::1:root", "i-1"))
}

// good is a queue as the template makes it.
func good() (Queue, Use) {
	return Queue{
			ARN: "arn:aws:sqs:eu-west-1:1:q", Visibility: 2 * time.Minute, Retention: 96 * time.Hour, MaxBytes: 65536, Encrypted: true,
			DeadLetters: "arn:aws:sqs:eu-west-1:1:dead", MaxReceives: 10,
		}, Use{
			Region: "eu-west-1", Account: "1", MaxAge: time.Hour, MaxRequest: 65536, Lease: 2 * time.Minute,
		}
}

// Each setting is judged in one line, and the others stay as they are.
func TestJudgeQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Queue, *Use)
		line   string
		want   line
	}{
		"all well":           {func(*Queue, *Use) {}, "", line{}},
		"another region":     {func(q *Queue, _ *Use) { q.ARN = "arn:aws:sqs:us-east-1:1:q" }, "queue.exists", line{Warn, true, "this region"}},
		"it is the file's":   {func(_ *Queue, u *Use) { u.Home, u.Region = u.Region, "us-east-1" }, "queue.exists", line{OK, true, "as this instance is"}},
		"another account":    {func(q *Queue, _ *Use) { q.ARN = "arn:aws:sqs:eu-west-1:2:q" }, "queue.exists", line{Warn, true, "account 2"}},
		"nobody knows which": {func(_ *Queue, u *Use) { u.Region, u.Account = "", "" }, "", line{}},
		"hidden for no time": {func(q *Queue, _ *Use) { q.Visibility = 0 }, "queue.visibility", line{Warn, true, "120"}},
		"SQS's default":      {func(q *Queue, _ *Use) { q.Visibility = 30 * time.Second }, "", line{}},
		"hidden for long":    {func(q *Queue, _ *Use) { q.Visibility = time.Hour }, "queue.visibility", line{Warn, true, "stale"}},
		"no dead letters":    {func(q *Queue, _ *Use) { q.DeadLetters = "" }, "queue.redrive", line{Warn, true, "RedrivePolicy"}},
		"one receive":        {func(q *Queue, _ *Use) { q.MaxReceives = 1 }, "queue.redrive", line{Fail, true, "to 10"}},
		"two receives":       {func(q *Queue, _ *Use) { q.MaxReceives = 2 }, "queue.redrive", line{Warn, true, "to 10"}},
		"five receives":      {func(q *Queue, _ *Use) { q.MaxReceives = 5 }, "", line{}},
		"forgotten":          {func(q *Queue, _ *Use) { q.Retention = time.Hour - time.Second }, "queue.retention", line{Warn, true, "345600"}},
		"small":              {func(q *Queue, _ *Use) { q.MaxBytes = 1024 }, "queue.delivery", line{Warn, true, "65536"}},
		"late":               {func(q *Queue, _ *Use) { q.Delay = time.Second }, "queue.delivery", line{Warn, true, "DelaySeconds"}},
		"one for everybody":  {func(q *Queue, _ *Use) { q.Policy = `{"Statement":{"Effect":"Allow","Principal":"*"}}` }, "queue.policy", line{Warn, true, "number 1"}},
		"with a condition": {func(q *Queue, _ *Use) {
			q.Policy = `{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"ArnEquals":{}}}]}`
		}, "", line{}},
		"a service": {func(q *Queue, _ *Use) {
			q.Policy = `{"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"}}]}`
		}, "", line{}},
		"among others": {func(q *Queue, _ *Use) {
			q.Policy = `{"Statement":[{"Effect":"Deny","Principal":"*"},{"Sid":"X","Effect":"Allow","Principal":{"AWS":["1","*"]}}]}`
		}, "queue.policy", line{Warn, true, "statement X"}},
		"no policy at all":     {func(q *Queue, _ *Use) { q.Policy = `{"Statement":17}` }, "queue.policy", line{Warn, false, "cannot be read"}},
		"in the clear":         {func(q *Queue, _ *Use) { q.Encrypted = false }, "queue.encryption", line{Warn, true, "SqsManagedSseEnabled"}},
		"AWS's key":            {func(q *Queue, _ *Use) { q.Key = "alias/aws/sqs" }, "queue.encryption", line{Warn, true, "EventBridge"}},
		"an own key":           {func(q *Queue, _ *Use) { q.Key = "arn:aws:kms:eu-west-1:1:key/k" }, "", line{}},
		"one waits":            {func(q *Queue, _ *Use) { q.Visible = 1 }, "queue.waiting", line{Warn, true, "1 request waits"}},
		"one waits for its":    {func(q *Queue, _ *Use) { q.Visible, q.InFlight = 1, 1 }, "", line{}},
		"many wait for theirs": {func(q *Queue, _ *Use) { q.Visible, q.InFlight = 11, 1 }, "queue.waiting", line{Warn, true, "11 requests wait"}},
	} {
		q, use := good()
		tc.change(&q, &use)
		found := false
		for _, f := range JudgeQueue(q, use) {
			if f.Check == tc.line {
				tc.want.check(t, name, f)
				found = true
			} else if f.Status != OK {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !found && tc.line != "" {
			t.Errorf("%s: no line %s", name, tc.line)
		}
	}
}

// What would come back to the worker without end is no dead-letter queue.
func TestJudgeDeadLetters(t *testing.T) {
	letters := func(arn string) Finding {
		return JudgeDeadLetters(DeadLetters{Queue: Queue{ARN: arn, Retention: 2 * time.Hour}, Of: "arn:aws:sqs:eu-west-1:1:q", Target: "arn:aws:sqs:eu-west-1:1:d", FromFile: true}, time.Hour)[0]
	}
	line{OK, true, "d"}.check(t, "its own", letters("arn:aws:sqs:eu-west-1:1:d"))
	line{Warn, true, "easier to watch"}.check(t, "another", letters("arn:aws:sqs:eu-west-1:1:e"))
	line{Fail, true, "out of the file"}.check(t, "itself", letters("arn:aws:sqs:eu-west-1:1:q"))
}

func TestJudgeOwner(t *testing.T) {
	for name, tc := range map[string]struct {
		owner, me string
		want      line
	}{
		"none": {"", "i-1", line{OK, true, "no tag"}}, "mine": {"i-1", "i-1", line{OK, true, "this instance's"}},
		"theirs": {"i-2", "i-1", line{Fail, true, "i-2"}}, "whose": {"i-2", "", line{Warn, false, "identity.metadata"}},
	} {
		tc.want.check(t, name, JudgeOwner(tc.owner, tc.me))
	}
}

func TestJudgeSet(t *testing.T) {
	gp3 := func(pending, failed int) Disk {
		return Disk{ID: "vol-1", Type: "gp3", State: "in-use", Attached: true, Pending: pending, Failed: failed}
	}
	for name, tc := range map[string]struct {
		disk Disk
		line string
		want line
	}{
		"well":     {gp3(3, 0), "ec2.pending", line{OK, true, "at most 3"}},
		"near":     {gp3(2, 2), "ec2.pending", line{Warn, true, "delete the snapshots in the state error, of which there are 2"}},
		"full":     {gp3(5, 0), "ec2.pending", line{Fail, true, "-> wait for the uploads"}},
		"cold":     {Disk{ID: "vol-1", Type: "st1", State: "in-use", Attached: true}, "ec2.pending", line{OK, true, "completed"}},
		"cold one": {Disk{ID: "vol-1", Type: "st1", State: "in-use", Attached: true, Pending: 1}, "ec2.pending", line{Fail, true, "1 of 1"}},
		"away":     {Disk{ID: "vol-1", Type: "gp3", State: "in-use"}, "ec2.volumes", line{Fail, true, "attach"}},
		"ill":      {Disk{ID: "vol-1", Type: "gp3", State: "error", Attached: true}, "ec2.volumes", line{Fail, true, "vol-1 is error"}},
	} {
		for _, f := range JudgeDisks([]Disk{tc.disk}) {
			if f.Check == tc.line {
				tc.want.check(t, name, f)
			} else if f.Status != OK {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	now := time.Now()
	line{OK, true, "no set"}.check(t, "young", JudgeUnverified([]Set{{RequestID: "r", Started: now.Add(-14 * time.Minute)}}, now))
	line{Warn, true, "1 set of snapshots is without a verdict for more than 15 minutes: r"}.check(t, "old", JudgeUnverified([]Set{{RequestID: "r", Started: now.Add(-16 * time.Minute)}, {RequestID: "r", Started: now.Add(-16 * time.Minute)}}, now))
}

func TestJudgeWorking(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		w       Working
		running line
		ready   *line // nil: no such line
	}{
		"none":         {Working{}, line{Warn, true, "systemctl"}, nil},
		"free":         {Working{Addr: "127.0.0.1:9180"}, line{Warn, true, "systemctl"}, &line{OK, true, "nobody listens on 127.0.0.1:9180"}},
		"taken":        {Working{Addr: "127.0.0.1:9180", Listens: true}, line{Warn, true, "systemctl"}, &line{Fail, true, "the worker would not start"}},
		"another host": {Working{Addr: "10.0.0.1:9180", Foreign: true}, line{Warn, true, "systemctl"}, &line{Fail, true, "no address of this host"}},
		"out of sight": {Working{Addr: "10.0.0.1:9180", AddrErr: "timeout"}, line{Warn, true, "systemctl"}, &line{Warn, false, "timeout"}},
		"who knows":    {Working{Err: "cannot read the kernel's locks"}, line{Warn, false, "locks"}, nil},
		"without HTTP": {Working{PID: 7}, line{OK, true, "process 7"}, nil},
		"mute":         {Working{PID: 7, Asked: true, AskErr: "connection refused"}, line{OK, true, ""}, &line{Warn, true, "refused"}},
		"stuck":        {Working{PID: 7, Asked: true, Why: []string{"the queue has not answered"}}, line{OK, true, ""}, &line{Fail, true, "the queue has not answered"}},
		"just started": {Working{PID: 7, Asked: true, Since: now.Add(-5 * time.Second), Why: []string{"the queue has not answered a poll yet"}}, line{OK, true, ""}, &line{Warn, true, "again in half a minute"}},
		"stuck long":   {Working{PID: 7, Asked: true, Since: now.Add(-5 * time.Minute), Why: []string{"the queue has not answered"}}, line{OK, true, ""}, &line{Fail, true, "see its log"}},
		"well":         {Working{PID: 7, Asked: true, LastPoll: now.Add(-3 * time.Second)}, line{OK, true, ""}, &line{OK, true, "3s ago"}},
	} {
		found := JudgeWorking(tc.w, now)
		tc.running.check(t, name, found[0])
		switch {
		case tc.ready == nil && len(found) != 1, tc.ready != nil && len(found) != 2:
			t.Errorf("%s: %+v", name, found)
		case tc.ready != nil:
			tc.ready.check(t, name, found[1])
		}
	}
	line{OK, true, "no result"}.check(t, "empty", JudgeOutbox(Outbox{}, now))
	line{OK, true, "1 result waits"}.check(t, "just now", JudgeOutbox(Outbox{1, now.Add(-time.Second)}, now))
	line{Warn, true, "2 results wait"}.check(t, "long", JudgeOutbox(Outbox{2, now.Add(-time.Hour)}, now))
	line{OK, true, "no request was made yet"}.check(t, "new", JudgeLastSuccess("nightly", time.Time{}, 0, now))
	line{Warn, true, "has never succeeded"}.check(t, "never", JudgeLastSuccess("nightly", time.Time{}, 3, now))
	line{Warn, true, "10 days ago"}.check(t, "long ago", JudgeLastSuccess("nightly", now.Add(-241*time.Hour), 3, now))
	line{OK, true, "last succeeded at"}.check(t, "yesterday", JudgeLastSuccess("nightly", now.Add(-24*time.Hour), 3, now))
}

func TestJudgeUnderway(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		u    Underway
		want line
	}{
		"none":      {Underway{}, line{OK, true, "no run"}},
		"one":       {Underway{Held: true, PID: 7, Since: now.Add(-time.Minute), RequestID: "r", Plan: "p", Usual: time.Hour}, line{OK, true, "process 7 carries out r of plan p for 1m0s"}},
		"an old":    {Underway{Held: true, PID: 7, Since: now.Add(-2 * time.Hour), Plan: "p", Usual: time.Hour}, line{Warn, true, "for 2h0m0s, and all others wait"}},
		"whose":     {Underway{Held: true}, line{OK, true, "a run is under way"}},
		"who knows": {Underway{Err: "it is no file"}, line{Warn, false, "no file"}},
	} {
		tc.want.check(t, name, JudgeUnderway(tc.u, now))
	}
}

func TestTrouble(t *testing.T) {
	for kind, want := range map[TroubleKind]struct{ whole, minor line }{
		Denied:    {line{Fail, true, `{"Effect": "Allow", "Action": "sqs:X", "Resource": "arn:r"}`}, line{Warn, false, "denied"}},
		Gone:      {line{Fail, true, "is not there"}, line{Warn, false, "is not there"}},
		NotKnown:  {line{Fail, true, "clock.skew"}, line{Warn, false, "credentials"}},
		Silent:    {line{Fail, false, "VPC endpoint for sqs"}, line{Warn, false, "VPC endpoint"}},
		Throttled: {line{Warn, false, "in a minute"}, line{Warn, false, "in a minute"}},
		Other:     {line{Fail, true, "because"}, line{Warn, false, "because"}},
	} {
		t1 := Trouble{Kind: kind, Action: "sqs:X", Resource: "arn:r", Code: "Code", Text: "because"}
		want.whole.check(t, "whole", t1.Finding())
		want.minor.check(t, "minor", t1.Minor())
	}
	for _, tc := range []struct {
		queue, topic, plans bool
		want                line
	}{
		{true, true, true, line{OK, true, ""}}, {true, false, true, line{Fail, true, "topic_arn"}}, {true, true, false, line{Fail, true, "under plans"}},
		{false, true, true, line{Warn, true, "publishes"}}, {false, false, false, line{Warn, true, "nobody hears"}},
	} {
		tc.want.check(t, "file", JudgeFile(tc.queue, tc.topic, tc.plans))
	}
}

func TestAPlanThatLocksNoDatabaseSaysWhatLiesOnItsSet(t *testing.T) {
	line{OK, true, "no MySQL or MariaDB"}.check(t, "none on the set", JudgeUnlocked(nil, false))
	line{Warn, true, "mariadbd (process 7, in /db): it is not locked"}.check(t, "one, and nobody locks it", JudgeUnlocked([]string{"mariadbd (process 7, in /db)"}, false))
	line{OK, true, "pre_freeze"}.check(t, "one, and a hook", JudgeUnlocked([]string{"mariadbd (process 7, in /db)"}, true))
}

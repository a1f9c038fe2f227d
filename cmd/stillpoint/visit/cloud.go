package visit

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/ebs"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/whoami"
)

// amazon is what the checks of AWS have and know.
type amazon struct {
	cfg     aws.Config
	clock   whoami.Clock
	account string // "": not known
	home    string // the region that the metadata say; "": not known
	// queueARN is the queue's, as SQS says it.
	queueARN string
	ec2      *ebs.Client
	// silent says that EC2 did not answer a check of this visit: it is not waited for again.
	silent bool
}

// cloud are the checks of the clock, of who this is, and of what AWS allows and says of queue and topic.
func (v *visit) cloud() []doctor.Check {
	known := []string{"identity.credentials"}
	checks := []doctor.Check{
		{Name: "identity.metadata", Look: v.lookAtMetadata},
		{Name: "identity.credentials", Look: v.lookAtCredentials},
		{Name: "identity.caller", Needs: known, Look: v.lookAtCaller},
	}
	if v.file.QueueURL != "" {
		checks = append(checks,
			doctor.Check{Name: "queue.exists", Needs: known, Look: v.lookAtQueue},
			doctor.Check{Name: "queue.tag", Needs: []string{"identity.credentials", "queue.exists"}, Look: v.lookAtOwner},
			doctor.Check{Name: "queue.permissions", Needs: []string{"identity.credentials", "queue.exists"}, Look: v.tryQueue},
		)
	}
	if v.file.TopicARN != "" {
		checks = append(checks, doctor.Check{Name: "topic.exists", Needs: known, Look: v.lookAtTopic})
	}
	return append(checks,
		doctor.Check{Name: "clock.skew", Look: v.lookAtSkew},
		doctor.Check{Name: "clock.sync", Look: lookAtSync},
		doctor.Check{Name: "sets.unverified", Needs: known, Look: v.lookAtUnverified},
		doctor.Check{Name: "worker.running", Look: v.lookAtWorker},
		doctor.Check{Name: "results.waiting", Look: v.lookAtOutbox},
	)
}

// lookAtMetadata finds out who this is, for all checks that follow.
func (v *visit) lookAtMetadata(ctx context.Context) []doctor.Finding {
	cfg, err := parts.AWS(ctx, v.file.Region)
	if err != nil {
		return []doctor.Finding{doctor.Bad(err.Error(), "correct the AWS configuration of this host: AWS_PROFILE, ~/.aws/config")}
	}
	told := doctor.Told{InstanceID: v.file.InstanceID, Region: cfg.Region}
	m := doctor.Metadata{Off: strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true")}
	if !m.Off {
		seen, err := whoami.AskMetadata(ctx, cfg)
		m.InstanceID, m.Region, m.Role, v.aws.account = seen.InstanceID, seen.Region, seen.Role, seen.Account
		v.aws.home = m.Region
		if err != nil {
			m.Err = err.Error()
		}
	}
	v.id.InstanceID = told.InstanceID
	if v.id.InstanceID == "" {
		v.id.InstanceID = m.InstanceID
	}
	if cfg.Region == "" {
		cfg.Region = m.Region
	}
	v.id.Region, v.aws.cfg = cfg.Region, cfg
	v.aws.clock.Watch(&v.aws.cfg)
	if v.id.InstanceID != "" && v.id.Region != "" {
		v.aws.ec2 = ebs.New(v.aws.cfg, v.id.InstanceID)
	}
	return doctor.JudgeMetadata(m, told)
}

func (v *visit) lookAtCredentials(ctx context.Context) []doctor.Finding {
	var c doctor.Credentials
	if seen, err := whoami.FindCredentials(ctx, v.aws.cfg); err != nil {
		c.Err = innermost(err)
	} else {
		c = doctor.Credentials{Source: seen.Source, Metadata: seen.Metadata, Session: seen.Session, Expires: seen.Expires}
	}
	return []doctor.Finding{doctor.JudgeCredentials(c, time.Now(), v.longestWindow())}
}

// longestWindow is for how long the credentials of a run have to last.
func (v *visit) longestWindow() time.Duration {
	longest := time.Duration(0)
	for _, p := range v.file.Plans {
		window := p.MaxHold + time.Minute // as ebs.Client.Warm asks for
		if p.MySQL != nil {
			window += p.MySQL.LockTimeout
		}
		longest = max(longest, window)
	}
	return longest
}

// lookAtCaller asks STS, which nothing else needs: where only the endpoints of
// the other services can be reached that is no fault.
func (v *visit) lookAtCaller(ctx context.Context) []doctor.Finding {
	const action = "sts:GetCallerIdentity"
	if v.id.Region == "" {
		return []doctor.Finding{doctor.Unchecked("the region is not known", "see identity.metadata")}
	}
	caller, err := whoami.AskCaller(ctx, v.aws.cfg)
	if err != nil {
		t := awsTrouble(action, "", err)
		if t.Kind == doctor.NotKnown {
			return []doctor.Finding{t.Finding()}
		}
		return []doctor.Finding{t.Minor()}
	}
	v.aws.account = caller.Account
	return []doctor.Finding{doctor.JudgeCaller(caller.ARN, v.id.InstanceID)}
}

func (v *visit) lookAtSkew(context.Context) []doctor.Finding {
	s, known := v.aws.clock.Skew()
	return []doctor.Finding{doctor.JudgeSkew(doctor.Skew{Known: known, Ahead: s.Ahead, By: s.By})}
}

func lookAtSync(context.Context) []doctor.Finding {
	return []doctor.Finding{doctor.JudgeSync(whoami.Synchronized())}
}

// who is what a check says that needs EC2 and cannot know for whom; nil: it can.
func (v *visit) who() []doctor.Finding {
	switch {
	case v.aws.ec2 == nil:
		return []doctor.Finding{doctor.Unchecked("it is not known which instance this is, or where", "see identity.metadata")}
	case v.aws.silent:
		return []doctor.Finding{doctor.Unchecked("EC2 has not answered an earlier check", "mend that first, and run the doctor again")}
	}
	return nil
}

// ec2Trouble is awsTrouble of a call to EC2.
func (v *visit) ec2Trouble(action string, err error) doctor.Trouble {
	t := awsTrouble(action, "*", err)
	v.aws.silent = v.aws.silent || t.Kind == doctor.Silent
	return t
}

func (v *visit) lookAtUnverified(ctx context.Context) []doctor.Finding {
	if f := v.who(); f != nil {
		return f
	}
	found, err := v.aws.ec2.Unverified(ctx)
	if err != nil {
		return []doctor.Finding{v.ec2Trouble("ec2:DescribeSnapshots", err).Finding()}
	}
	sets := make([]doctor.Set, 0, len(found))
	for _, s := range found {
		sets = append(sets, doctor.Set{SnapshotID: s.SnapshotID, RequestID: s.Tags[snapshot.TagRequestID], Started: s.StartTime})
	}
	return []doctor.Finding{doctor.JudgeUnverified(sets, v.awsNow())}
}

// awsNow is the time as AWS tells it, where it did: what EC2 dates is as old as that says.
func (v *visit) awsNow() time.Time {
	s, _ := v.aws.clock.Skew()
	return time.Now().Add(-s.Ahead)
}

// planTrouble is about a call of EC2's; a refusal without a code of AWS's is the
// program's own sentence.
func (v *visit) planTrouble(action string, err error) (t *doctor.Trouble, refused string) {
	if err == nil {
		return nil, ""
	}
	if isRefusal(err) && ebs.Code(err) == "" {
		return nil, err.Error()
	}
	found := v.ec2Trouble(action, err)
	return &found, ""
}

// limits are the checks of EC2's limits and permissions for a plan's volumes.
func (v *visit) limits(p *config.Plan) []doctor.Check {
	check := func(name string, needs []string, look func(context.Context, *config.Plan) []doctor.Finding) doctor.Check {
		return doctor.Check{Name: name, Plan: p.Name, Needs: append(needs, "identity.credentials"), Look: func(ctx context.Context) []doctor.Finding {
			if f := v.who(); f != nil {
				return f
			}
			return look(ctx, p)
		}}
	}
	return []doctor.Check{
		check("ec2.volumes", nil, v.lookAtDisks),
		check("ec2.create", nil, v.tryCreate),
		check("ec2.tag", nil, v.tryTag),
		{Name: "plan.last_success", Plan: p.Name, Look: func(context.Context) []doctor.Finding { return v.lookAtSuccess(p) }},
	}
}

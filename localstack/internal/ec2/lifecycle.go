package ec2

import (
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// How long an instance takes from one state to the next, by the clock. AWS takes from seconds to minutes and promises nothing; that
// it is so quick here is a guess at what a laptop's user wants to wait.
const (
	startTime    = time.Second
	stopTime     = 2 * time.Second
	shutDownTime = 2 * time.Second

	// "Terminated instances remain visible after termination (for approximately one hour)": TerminateInstances in the API reference.
	tombTime = time.Hour
)

// settleInstance puts an instance into the state that it has by now.
func (s *Service) settleInstance(i *instance, now time.Time) bool {
	passed := now.Sub(i.Since)
	move := func(state string, after time.Duration) bool {
		if passed < after {
			return false
		}
		i.State, i.Since = state, i.Since.Add(after)
		return true
	}
	switch i.State {
	case "pending":
		return move("running", startTime)
	case "stopping":
		return move("stopped", stopTime)
	case "shutting-down":
		if !move("terminated", shutDownTime) {
			return false
		}
		s.abandon(i)
		return true
	case "terminated":
		if passed < tombTime {
			return false
		}
		s.forgetInstance(i)
		return true
	}
	return false
}

// abandon detaches the volumes of an instance that is terminated, and deletes those that are to go with it. One that is still
// mounted on this machine goes when it is unmounted; AWS knows no such thing, as nothing of a terminated instance runs.
func (s *Service) abandon(i *instance) {
	for _, v := range s.attachedTo(i.ID) {
		v.Doomed = v.DeleteOnTermination
		s.release(v)
		s.settleDetach(v)
	}
}

// change does one of the calls that move instances from one state to another. check refuses one instance, and then all of them;
// do moves it.
func (s *Service) change(q wire.Query, c *wire.Call, check func(*instance) *wire.Error, do func(*instance)) ([]wire.Node, *wire.Error) {
	ids := q.List("InstanceId")
	if len(ids) == 0 {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter InstanceId")
	}
	var all []*instance
	for _, id := range ids {
		i, apiErr := s.findInstance(id)
		if apiErr != nil {
			return nil, apiErr
		}
		c.About(s.arn("instance", id))
		if apiErr := check(i); apiErr != nil {
			return nil, apiErr
		}
		if !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	set := wire.Node{Name: "instancesSet"}
	for _, i := range all {
		before := i.State
		do(i)
		set.Kids = append(set.Kids, wire.Tree("item", wire.El("instanceId", i.ID), stateNode("currentState", i.State), stateNode("previousState", before)))
	}
	return []wire.Node{set}, nil
}

// enter puts an instance into a state that it leaves after some time.
func (s *Service) enter(i *instance, state string, lasts time.Duration) {
	i.State, i.Since = state, s.Clock.Now()
	s.later(lasts)
}

// reason is StateTransitionReason as AWS words it.
func (s *Service) reason() string {
	return "User initiated (" + s.Clock.Now().UTC().Format("2006-01-02 15:04:05") + " GMT)"
}

func (s *Service) startInstances(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	return s.change(q, c, func(i *instance) *wire.Error {
		switch i.State {
		case "stopped", "running", "pending":
		default:
			return wire.Errorf("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be started.", i.ID)
		}
		if s.rootOf(i) == nil {
			// The code is a guess.
			return wire.Errorf("IncorrectInstanceState", "The instance '%s' has no volume attached at its root device %s", i.ID, i.Root)
		}
		return nil
	}, func(i *instance) {
		if i.State == "stopped" {
			i.Launched, i.Because = s.Clock.Now(), ""
			s.enter(i, "pending", startTime)
		}
	})
}

func (s *Service) rootOf(i *instance) *volume {
	for _, v := range s.attachedTo(i.ID) {
		if v.root() {
			return v
		}
	}
	return nil
}

// stopInstances leaves all volumes attached, with their devices.
func (s *Service) stopInstances(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	if q.Flag("Hibernate") {
		return nil, wire.Errorf("UnsupportedHibernationConfiguration", "The instance is not enabled for hibernation: localstack has none")
	}
	return s.change(q, c, func(i *instance) *wire.Error {
		switch {
		case i.State == "shutting-down" || i.State == "terminated":
			return wire.Errorf("IncorrectInstanceState", "This instance '%s' is not in a state from which it can be stopped.", i.ID)
		case i.NoStop:
			return wire.Errorf("OperationNotPermitted", "The instance '%s' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.", i.ID)
		}
		return nil
	}, func(i *instance) {
		if i.State == "running" || i.State == "pending" {
			i.Because = s.reason()
			s.enter(i, "stopping", stopTime)
		}
	})
}

// terminateInstances is "idempotent; if you terminate an instance more than once, each call succeeds", and refuses all if it refuses
// one. Of a protected instance AWS refuses those in the same zone and terminates the others; so does this.
func (s *Service) terminateInstances(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	var protected *wire.Error
	var zones []string
	for _, id := range q.List("InstanceId") {
		if i, ok := s.instances[id]; ok && i.Locked && i.State != "terminated" {
			zones = append(zones, i.Zone)
			protected = wire.Errorf("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", id)
		}
	}
	answer, apiErr := s.change(q, c, func(*instance) *wire.Error { return nil }, func(i *instance) {
		if i.State == "shutting-down" || i.State == "terminated" || slices.Contains(zones, i.Zone) {
			return
		}
		i.Because = s.reason()
		s.enter(i, "shutting-down", shutDownTime)
	})
	if apiErr == nil && protected != nil {
		return nil, protected
	}
	return answer, apiErr
}

// nitro tells whether instances of a type are built on the Nitro System. All are that are not named as Xen-based here:
// https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html
func nitro(instanceType string) bool {
	family, size, _ := strings.Cut(instanceType, ".")
	xen := []string{
		"c1", "c3", "c4", "cc2", "cr1", "d2", "f1", "g2", "g3", "g3s", "h1", "hs1", "i2", "i3", "m1", "m2", "m3", "m4",
		"p2", "p3", "r3", "r4", "t1", "t2", "x1", "x1e",
	}
	return size == "metal" || !slices.Contains(xen, family)
}

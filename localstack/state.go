package localstack

import "time"

// State is everything that there is, for people to read and for tests to compare. Its form is not promised to stay.
type State struct {
	Now     time.Time      `json:"now"`
	Region  string         `json:"region"`
	Account string         `json:"account"`
	Faults  []Fault        `json:"faults"`
	Service map[string]any `json:"services"` // by name: "sqs", "ec2"
}

// State returns what there is.
func (s *Server) State() State {
	return State{
		Now: s.clock.Now().UTC(), Region: s.config.Region, Account: s.config.AccountID, Faults: s.faults.List(),
		Service: map[string]any{
			"ec2": s.ec2.State(), "sqs": s.sqs.State(), "sns": s.sns.State(), "events": s.events.State(), "scheduler": s.scheduler.State(),
		},
	}
}

package localstack

import "stillpoint/localstack/internal/ec2"

// EC2Behaviour is how EC2 behaves with snapshots, and what it limits.
type EC2Behaviour = ec2.Behaviour

// EC2Limits are quotas of EC2.
type EC2Limits = ec2.Limits

// EC2Bucket is the size of a token bucket of EC2.
type EC2Bucket = ec2.Bucket

// EC2Behaviour is the behaviour that EC2 has, with how many snapshots are still to fail.
func (s *Server) EC2Behaviour() EC2Behaviour { return s.ec2.Behaviour() }

// BehaveEC2 replaces the behaviour of EC2 for what is done from now on. Its token buckets are full again.
func (s *Server) BehaveEC2(b EC2Behaviour) error { return s.ec2.Behave(b) }

// FailSnapshot ends a pending snapshot, and with it the others of its CreateSnapshots, in the state "error" with a message that may
// be empty. It is an error if there is no such snapshot or if it is no longer pending.
func (s *Server) FailSnapshot(id, message string) error { return s.ec2.FailSnapshot(id, message) }

// Package localstack is a local AWS: SQS, SNS, EventBridge rules, EventBridge Scheduler, STS, instance metadata and EC2 as far as
// Stillpoint meets them, spoken in the real protocols to the real SDKs and to the aws CLI. What sets it apart from other emulators is that its EBS volumes are real block devices: sparse
// files on loop devices, which can be formatted, mounted and frozen. A snapshot clones the file at the moment of the call, and a
// volume made from it can be attached, mounted and read.
//
// It listens on loopback only, and it authenticates nobody: whoever can open a connection to its port can do everything.
//
// The state of EC2 is kept beside the files of its volumes, and outlives a process that is killed; all other state is in memory and
// ends with the process. Time passes as it does, and can be put forward: a snapshot is pending for a while, a message is hidden for
// its visibility timeout, a schedule fires. Faults make it lose answers, throttle, hang, be slow or say what is not true.
//
// Where AWS is known to do something inconvenient, so does this: a poll whose client has gone away still takes a message,
// CreateSnapshots has no idempotency token, a snapshot cannot be used before it is completed. What is not implemented is refused
// by name with an error, never ignored, where ignoring it would change what a caller gets.
package localstack

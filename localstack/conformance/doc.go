// Package conformance holds localstack to what AWS says it does: one table of behaviours, each with its source, each run against
// localstack and, where moto_server is on the machine, against moto as well. What moto does otherwise stands in testdata/moto.json,
// with the document that says who is right; docs/behaviours.md is made from both.
//
//	go test ./localstack/conformance                               everything that this machine can run
//	go test ./localstack/conformance -run 'TestLocalstack/sdk/sqs-' some of it
//	go test ./localstack/conformance -run TestMoto -update         prints the list of differences as it would have to be
//	go test ./localstack/conformance -run TestDocument -update     writes docs/behaviours.md anew
//
// # How to add a row
//
//   - Write a behaviour into the slice of a file named after its service (sqs_receive_test.go), and name a new slice in table, in
//     table_test.go. ID is the name of its tests for good. Says is one sentence about AWS, without "should". Source says where AWS
//     says so, and how well that was read: unread is a mark, too, and never left out. A row whose sources are all unread is shown
//     as such.
//   - Run gets a check, which is a target as well: c.sqs and the other clients, c.name for names that are nobody else's, c.ctx. Steps
//     that only prepare are wrapped in must, as in must(c.sqs.CreateQueue(...))(c), and end the row when they fail. Expectations are
//     c.ok, c.refused, c.equal and c.is: they are counted and the row goes on, because moto's list says which of them it does not
//     meet. Their first argument is a text that is the same in each run, without ids or figures that change.
//   - Needs says what the row cannot do without. By default all rows share one server and run at once, so a row must look at nothing
//     but what it made. pauses gives a row a localstack of its own, whose clock c.pause moves; against moto c.pause sleeps. Both count
//     in ticks, and so do timeouts that shall end in a pause (c.ticks): three in all are the limit. clock is the same for longer times
//     (c.move), faults sets faults (c.ours.SetFaults), data makes volumes real: these three are not run against moto, and shown as
//     such. alone is for settings of a whole account.
//   - Via is set for rows by another client: c.cli runs the aws CLI; rows of boto3 say what a function of the same name in
//     testdata/boto3_checks.py has to see.
//   - Run it against both. If moto differs, TestMoto says what to add to testdata/moto.json; tell in "does" what moto does in a
//     sentence of your own. Then bring docs/behaviours.md up to date.
//   - Break localstack once and see the row fail.
package conformance

package conformance

import "slices"

// table is all that is claimed of AWS.
func table() []behaviour {
	return slices.Concat(
		sqsVisibility, sqsReceive, sqsSend, sqsBatch, sqsRedrive, sqsQueues, sqsPolicy,
		snsPublish, snsDelivery, snsTopics, snsFilter, snsHTTP,
		ec2Rows, eventsRows, schedulerRows, imdsRows,
		stsRows,
		cliSQS, cliOthers, boto3Rows,
	)
}

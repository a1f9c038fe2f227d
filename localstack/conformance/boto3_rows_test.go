package conformance

type seenBy = map[string]any

var boto3Rows = []behaviour{
	{
		ID: "boto3-sqs-queue-missing", Service: theSQS, Via: viaBoto3,
		Says:   "boto3 raises QueueDoesNotExist, with the code of old and the modelled one as QueryErrorCode.",
		Source: from(seen("sqs", "test_non_existent_queue")),
		Run:    sees(seenBy{"code": "AWS.SimpleQueueService.NonExistentQueue", "query code": "QueueDoesNotExist", "status": 400.}),
	},
	{
		ID: "boto3-sqs-queue-exists", Service: theSQS, Via: viaBoto3,
		Says:   "boto3 raises QueueNameExists, with the code QueueAlreadyExists, for a name that has other attributes.",
		Source: from(seen("sqs", "test_create_queue_with_different_attributes_raises_exception"), api("sqs", "CreateQueue")),
		Run:    sees(seenBy{"code": "QueueAlreadyExists", "status": 400., "class": "QueueNameExists"}),
	},
	{
		ID: "boto3-sqs-receive-empty", Service: theSQS, Via: viaBoto3,
		Says:   "The answer of a receive that finds nothing has no member Messages.",
		Source: from(api("sqs", "ReceiveMessage")),
		Run:    sees(seenBy{"Messages": false, "status": 200.}),
	},
	{
		ID: "boto3-sqs-long-poll", Service: theSQS, Via: viaBoto3,
		Says:   "A long poll of boto3 ends when a message is sent by another thread.",
		Source: from(api("sqs", "ReceiveMessage")),
		Run:    sees(seenBy{"bodies": []any{"m"}, "it waited": true, "it ended early": true}),
	},
	{
		ID: "boto3-sqs-md5", Service: theSQS, Via: viaBoto3,
		Says:   "The MD5 of body and attributes is what a computation in Python makes it, and binary attributes come back as bytes.",
		Source: from(in("sqs", "sqs-message-metadata", page), api("sqs", "SendMessage")),
		Run:    sees(seenBy{"of the body": true, "of the attributes": true, "the body": true, "bytes are bytes": true}),
	},
	{
		ID: "boto3-sqs-batch-partial", Service: theSQS, Via: viaBoto3,
		Says:   "A bad entry of a batch stands in Failed with its id, its code, and SenderFault as True.",
		Source: from(api("sqs", "SendMessageBatch"), api("sqs", "BatchResultErrorEntry")),
		Run:    sees(seenBy{"successful": []any{"good"}, "failed": []any{[]any{"bad", "InvalidParameterValue", true}}}),
	},
	{
		ID: "boto3-sqs-superseded-handle", Service: theSQS, Via: viaBoto3,
		Says:   "ChangeMessageVisibility with the handle of an earlier receive raises InvalidParameterValue.",
		Source: from(at("https://github.com/vmihailenco/taskq/issues/29", issue), at("https://github.com/mapbox/ecs-watchbot/issues/135", issue)),
		Run:    sees(seenBy{"code": "InvalidParameterValue", "status": 400., "class": "ClientError"}),
	},
	{
		ID: "boto3-sqs-list-queues-paginator", Service: theSQS, Via: viaBoto3,
		Says:   "The paginator of list_queues with a page size of one makes a page of each queue, and finds all.",
		Source: from(api("sqs", "ListQueues")),
		Run:    sees(seenBy{"all of them": true, "pages": 3.}),
	},
	{
		ID: "boto3-sqs-resource", Service: theSQS, Via: viaBoto3,
		Says:   "The resource of boto3 sends, receives and deletes, and its attributes count what is left.",
		Source: from(api("sqs", "SendMessage"), api("sqs", "GetQueueAttributes")),
		Run:    sees(seenBy{"bodies": []any{"m"}, "attributes": []any{"x"}, "left": "00"}),
	},
	{
		ID: "boto3-sqs-policy-round-trip", Service: theSQS, Via: viaBoto3,
		Says:   "A new queue has no attribute Policy; one that is set is given back.",
		Source: from(in("events", "eb-use-resource-based", guide), api("sqs", "SetQueueAttributes")),
		Run:    sees(seenBy{"before": false, "the same": true}),
	},
	{
		ID: "boto3-sns-topic-missing", Service: theSNS, Via: viaBoto3,
		Says:   "boto3 raises NotFoundException, with the code NotFound and HTTP 404.",
		Source: from(seen("sns", "test_unknown_topic_publish"), api("sns", "Publish")),
		Run:    sees(seenBy{"code": "NotFound", "status": 404., "class": "NotFoundException"}),
	},
	{
		ID: "boto3-sns-invalid-parameter", Service: theSNS, Via: viaBoto3,
		Says:   "boto3 raises InvalidParameterException, with the code InvalidParameter, for a subject that is too long.",
		Source: from(api("sns", "Publish")),
		Run:    sees(seenBy{"code": "InvalidParameter", "status": 400., "class": "InvalidParameterException"}),
	},
	{
		ID: "boto3-sns-attributes-raw", Service: theSNS, Via: viaBoto3,
		Says:   "String, Number and Binary attributes of a publish arrive raw as attributes of the SQS message, of the same types.",
		Source: from(in("sns", "sns-large-payload-raw-message-delivery", page), in("sns", "SNSMessageAttributes", page)),
		Run: sees(seenBy{
			"body": "m", "text": seenBy{"DataType": "String", "StringValue": "häl"}, "number": seenBy{"DataType": "Number", "StringValue": "42"},
			"bytes": []any{0., 1., 255.},
		}),
	},
	{
		ID: "boto3-sns-envelope-attributes", Service: theSNS, Via: viaBoto3,
		Says:   "In the envelope attributes have Type and Value, binary ones in base64.",
		Source: from(seen("sns", "test_publish_sqs_from_sns"), in("sns", "SNSMessageAttributes", page)),
		Run: sees(seenBy{
			"Type": "Notification", "Subject": "[FAILED] db1",
			"MessageAttributes": seenBy{"status": seenBy{"Type": "String", "Value": "failed"}, "data": seenBy{"Type": "Binary", "Value": "AAH/"}},
		}),
	},
	{
		ID: "boto3-sns-filter-policy", Service: theSNS, Via: viaBoto3,
		Says:   "A filter policy lets only the messages through whose attribute has the value.",
		Source: from(in("sns", "string-value-matching", page)),
		Run:    sees(seenBy{"bodies": []any{"failed"}}),
	},
	{
		ID: "boto3-sns-subscriptions-paginator", Service: theSNS, Via: viaBoto3,
		Says:   "The paginator of list_subscriptions_by_topic finds all.",
		Source: from(api("sns", "ListSubscriptionsByTopic")),
		Run:    sees(seenBy{"all of them": true}),
	},
	{
		ID: "boto3-sts-get-caller-identity", Service: theSTS, Via: viaBoto3,
		Says:   "The Account of the caller has twelve digits and stands in the ARN.",
		Source: from(api("sts", "GetCallerIdentity")),
		Run:    sees(seenBy{"account in the ARN": true, "twelve digits": true}),
	},
	{
		ID: "boto3-ec2-snapshot-waiter", Service: theEC2, Via: viaBoto3,
		Says:   "create_snapshot answers pending; the waiter snapshot_completed ends when the state is completed, at 100%.",
		Source: from(api("ec2", "CreateSnapshot"), api("ec2", "DescribeSnapshots"), api("ec2", "Snapshot")),
		Run: sees(seenBy{
			"state of the call": "pending", "state": "completed", "progress": "100%", "description": "nightly", "the time is now": true,
		}),
	},
	{
		ID: "boto3-ec2-dry-run", Service: theEC2, Via: viaBoto3,
		Says:   "create_snapshots with DryRun raises a ClientError with the code DryRunOperation and HTTP 412, and makes nothing.",
		Source: from(api("ec2", "CreateSnapshots")),
		Run:    sees(seenBy{"code": "DryRunOperation", "status": 412., "class": "ClientError", "snapshots": 0.}),
	},
	{
		ID: "boto3-ec2-volume-missing", Service: theEC2, Via: viaBoto3,
		Says:   "create_snapshot of a volume that is not there raises InvalidVolume.NotFound, HTTP 400.",
		Source: from(at("https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html", unread)),
		Run:    sees(seenBy{"code": "InvalidVolume.NotFound", "status": 400., "class": "ClientError"}),
	},
	{
		ID: "boto3-ec2-waiter-of-missing-snapshot", Service: theEC2, Via: viaBoto3,
		Says:   "The waiter of a snapshot that is not there gives up with a WaiterError that names InvalidSnapshot.NotFound.",
		Source: from(at("https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html", unread)),
		Run:    sees(seenBy{"it gives up": true, "says why": true}),
	},
	{
		ID: "boto3-ec2-snapshots-paginator", Service: theEC2, Via: viaBoto3,
		Says:   "The paginator of describe_snapshots, by a tag, finds the snapshots that have it.",
		Source: from(api("ec2", "DescribeSnapshots")),
		Run:    sees(seenBy{"snapshots": 2., "tags": true}),
	},
	{
		ID: "boto3-ec2-create-snapshots", Service: theEC2, Via: viaBoto3,
		Says:   "create_snapshots answers an entry for each volume, pending, with the tags of the call.",
		Source: from(api("ec2", "CreateSnapshots"), api("ec2", "SnapshotInfo")),
		Run:    sees(seenBy{"volumes": true, "states": []any{"pending"}, "tags": true, "one time": 1.}),
	},
}

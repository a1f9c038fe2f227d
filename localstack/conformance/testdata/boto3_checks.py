"""What boto3 sees of an endpoint.

    python3 boto3_checks.py http://127.0.0.1:4566

prints one line of JSON for each check: {"id": ..., "saw": {...}}. What it should see stands with the rows of the same id in
boto3_rows_test.go. A check that raises has saw = {"error": ...}. Region and credentials come from the environment.
"""

import concurrent.futures
import datetime
import hashlib
import json
import sys
import threading
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

URL = sys.argv[1]
CONFIG = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
SESSION = boto3.session.Session()
sqs = SESSION.client("sqs", endpoint_url=URL, config=CONFIG)
sns = SESSION.client("sns", endpoint_url=URL, config=CONFIG)
ec2 = SESSION.client("ec2", endpoint_url=URL, config=CONFIG)
sts = SESSION.client("sts", endpoint_url=URL, config=CONFIG)

CHECKS = []


def check(function):
    CHECKS.append((function.__name__.replace("_", "-"), function))
    return function


def name():
    return "boto3-" + uuid.uuid4().hex[:16]


def queue(**attributes):
    return sqs.create_queue(QueueName=name(), Attributes=attributes)["QueueUrl"]


def arn_of(url):
    got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return got["Attributes"]["QueueArn"]


def listener(topic):
    """A queue that the topic may send to."""
    url = queue()
    arn = arn_of(url)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def refused(function, **arguments):
    """What a refusal looks like to boto3."""
    try:
        function(**arguments)
    except ClientError as error:
        return {
            "code": error.response["Error"]["Code"],
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
            "class": type(error).__name__,
        }
    return {"code": None}


def volume():
    made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    instance = made["Instances"][0]["InstanceId"]
    got = ec2.describe_instances(InstanceIds=[instance])
    mapping = got["Reservations"][0]["Instances"][0]["BlockDeviceMappings"][0]
    return instance, mapping["Ebs"]["VolumeId"]


def tagged(value):
    return [{"ResourceType": "snapshot", "Tags": [{"Key": "boto3", "Value": value}]}]


@check
def boto3_sqs_queue_missing():
    try:
        sqs.get_queue_url(QueueName=name())
    except sqs.exceptions.QueueDoesNotExist as error:
        return {
            "code": error.response["Error"]["Code"],
            "query code": error.response["Error"].get("QueryErrorCode"),
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
        }
    return {}


@check
def boto3_sqs_queue_exists():
    url = name()
    sqs.create_queue(QueueName=url, Attributes={"DelaySeconds": "1"})
    return refused(sqs.create_queue, QueueName=url, Attributes={"DelaySeconds": "2"})


@check
def boto3_sqs_receive_empty():
    got = sqs.receive_message(QueueUrl=queue())
    return {"Messages": "Messages" in got, "status": got["ResponseMetadata"]["HTTPStatusCode"]}


@check
def boto3_sqs_long_poll():
    url = queue()
    begin = time.monotonic()
    threading.Timer(0.5, lambda: sqs.send_message(QueueUrl=url, MessageBody="m")).start()
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=15)
    took = time.monotonic() - begin
    return {"bodies": [m["Body"] for m in got.get("Messages", [])], "it waited": took > 0.45, "it ended early": took < 10}


@check
def boto3_sqs_md5():
    url, body = queue(), "grüße 😀"
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody=body,
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "häl"},
            "number": {"DataType": "Number.int", "StringValue": "42"},
            "data": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"},
        },
    )
    got = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
    want = b""
    for key, kind, transport, value in (
        (b"data", b"Binary", b"\x02", b"\x00\x01\xff"),
        (b"number", b"Number.int", b"\x01", b"42"),
        (b"text", b"String", b"\x01", "häl".encode()),
    ):
        want += len(key).to_bytes(4, "big") + key + len(kind).to_bytes(4, "big") + kind
        want += transport + len(value).to_bytes(4, "big") + value
    return {
        "of the body": sent["MD5OfMessageBody"] == got["MD5OfBody"] == hashlib.md5(body.encode()).hexdigest(),
        "of the attributes": sent["MD5OfMessageAttributes"] == got["MD5OfMessageAttributes"] == hashlib.md5(want).hexdigest(),
        "the body": got["Body"] == body,
        "bytes are bytes": got["MessageAttributes"]["data"]["BinaryValue"] == b"\x00\x01\xff",
    }


@check
def boto3_sqs_batch_partial():
    entries = [{"Id": "good", "MessageBody": "a"}, {"Id": "bad", "MessageBody": "b", "DelaySeconds": 901}]
    got = sqs.send_message_batch(QueueUrl=queue(), Entries=entries)
    return {
        "successful": [one["Id"] for one in got.get("Successful", [])],
        "failed": [[one["Id"], one["Code"], one["SenderFault"]] for one in got.get("Failed", [])],
    }


@check
def boto3_sqs_superseded_handle():
    url = queue()
    sqs.send_message(QueueUrl=url, MessageBody="m")
    first = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first, VisibilityTimeout=0)
    sqs.receive_message(QueueUrl=url)
    return refused(sqs.change_message_visibility, QueueUrl=url, ReceiptHandle=first, VisibilityTimeout=0)


@check
def boto3_sqs_list_queues_paginator():
    prefix = name()
    want = sorted(sqs.create_queue(QueueName=prefix + end)["QueueUrl"] for end in "abc")
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1})
    pages = [page["QueueUrls"] for page in pages if page.get("QueueUrls")]
    return {"all of them": sorted(sum(pages, [])) == want, "pages": len(pages)}


@check
def boto3_sqs_resource():
    made = SESSION.resource("sqs", endpoint_url=URL, config=CONFIG).create_queue(QueueName=name())
    made.send_message(MessageBody="m", MessageAttributes={"a": {"DataType": "String", "StringValue": "x"}})
    got = made.receive_messages(MessageAttributeNames=["a"])
    out = {"bodies": [m.body for m in got], "attributes": [m.message_attributes["a"]["StringValue"] for m in got]}
    for message in got:
        message.delete()
    made.reload()
    out["left"] = made.attributes["ApproximateNumberOfMessages"] + made.attributes["ApproximateNumberOfMessagesNotVisible"]
    return out


@check
def boto3_sqs_policy_round_trip():
    url = queue()
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    before = "Policy" in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": arn_of(url)}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    after = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    return {"before": before, "the same": json.loads(after["Policy"])["Statement"][0]["Effect"] == "Allow"}


@check
def boto3_sns_topic_missing():
    topic = sns.create_topic(Name=name())["TopicArn"]
    return refused(sns.publish, TopicArn=topic + "-not", Message="m")


@check
def boto3_sns_invalid_parameter():
    topic = sns.create_topic(Name=name())["TopicArn"]
    return refused(sns.publish, TopicArn=topic, Message="m", Subject="s" * 101)


@check
def boto3_sns_attributes_raw():
    topic = sns.create_topic(Name=name())["TopicArn"]
    url, arn = listener(topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(
        TopicArn=topic,
        Message="m",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "häl"},
            "number": {"DataType": "Number", "StringValue": "42"},
            "data": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"},
        },
    )
    got = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=3)["Messages"][0]
    attributes = got["MessageAttributes"]
    return {
        "body": got["Body"],
        "text": attributes["text"],
        "number": attributes["number"],
        "bytes": list(attributes["data"]["BinaryValue"]),
    }


@check
def boto3_sns_envelope_attributes():
    topic = sns.create_topic(Name=name())["TopicArn"]
    url, arn = listener(topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    attributes = {
        "status": {"DataType": "String", "StringValue": "failed"},
        "data": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"},
    }
    sns.publish(TopicArn=topic, Message="m", Subject="[FAILED] db1", MessageAttributes=attributes)
    got = json.loads(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=3)["Messages"][0]["Body"])
    return {"Type": got["Type"], "Subject": got["Subject"], "MessageAttributes": got["MessageAttributes"]}


@check
def boto3_sns_filter_policy():
    topic = sns.create_topic(Name=name())["TopicArn"]
    url, arn = listener(topic)
    policy = json.dumps({"status": ["failed"]})
    attributes = {"RawMessageDelivery": "true", "FilterPolicy": policy}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    for status in ("done", "failed"):
        value = {"DataType": "String", "StringValue": status}
        sns.publish(TopicArn=topic, Message=status, MessageAttributes={"status": value})
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=3, MaxNumberOfMessages=10).get("Messages", [])
    return {"bodies": [m["Body"] for m in got]}


@check
def boto3_sns_subscriptions_paginator():
    topic = sns.create_topic(Name=name())["TopicArn"]
    want = sorted(sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=listener(topic)[1])["SubscriptionArn"] for _ in range(3))
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return {"all of them": sorted(one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]) == want}


@check
def boto3_sts_get_caller_identity():
    got = sts.get_caller_identity()
    return {"account in the ARN": got["Arn"].split(":")[4] == got["Account"], "twelve digits": len(got["Account"]) == 12}


@check
def boto3_ec2_snapshot_waiter():
    _, vol = volume()
    made = ec2.create_snapshot(VolumeId=vol, Description="nightly")
    ids = [made["SnapshotId"]]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    got = ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"][0]
    return {
        "state of the call": made["State"],
        "state": got["State"],
        "progress": got["Progress"],
        "description": got["Description"],
        "the time is now": abs((datetime.datetime.now(datetime.timezone.utc) - got["StartTime"]).total_seconds()) < 300,
    }


@check
def boto3_ec2_dry_run():
    instance, _ = volume()
    out = refused(ec2.create_snapshots, InstanceSpecification={"InstanceId": instance}, DryRun=True)
    out["snapshots"] = len(ec2.describe_snapshots(Filters=[{"Name": "description", "Values": [instance]}])["Snapshots"])
    return out


@check
def boto3_ec2_volume_missing():
    return refused(ec2.create_snapshot, VolumeId="vol-0123456789abcdef0")


@check
def boto3_ec2_waiter_of_missing_snapshot():
    try:
        ec2.get_waiter("snapshot_completed").wait(
            SnapshotIds=["snap-0123456789abcdef0"], WaiterConfig={"Delay": 1, "MaxAttempts": 1}
        )
    except WaiterError as error:
        return {"it gives up": True, "says why": "InvalidSnapshot.NotFound" in str(error)}
    return {"it gives up": False}


@check
def boto3_ec2_snapshots_paginator():
    value = name()
    _, vol = volume()
    for _ in range(2):
        ec2.create_snapshot(VolumeId=vol, TagSpecifications=tagged(value))
    pages = ec2.get_paginator("describe_snapshots").paginate(
        Filters=[{"Name": "tag:boto3", "Values": [value]}], OwnerIds=["self"], PaginationConfig={"PageSize": 5}
    )
    got = [one for page in pages for one in page["Snapshots"]]
    return {"snapshots": len(got), "tags": [one["Tags"] for one in got] == [[{"Key": "boto3", "Value": value}]] * 2}


@check
def boto3_ec2_create_snapshots():
    value = name()
    instance, vol = volume()
    made = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance}, TagSpecifications=tagged(value))["Snapshots"]
    return {
        "volumes": [one["VolumeId"] for one in made] == [vol],
        "states": [one.get("State") for one in made],
        "tags": [one["Tags"] for one in made] == [[{"Key": "boto3", "Value": value}]],
        "one time": len({one["StartTime"] for one in made}),
    }


LOCK = threading.Lock()


def run(one):
    key, function = one
    try:
        saw = function()
    except Exception as error:  # whatever it is, the row shall say so
        saw = {"error": f"{type(error).__name__}: {error}"}
    with LOCK:
        print(json.dumps({"id": key, "saw": saw}, default=str), flush=True)


with concurrent.futures.ThreadPoolExecutor(12) as pool:
    list(pool.map(run, CHECKS))

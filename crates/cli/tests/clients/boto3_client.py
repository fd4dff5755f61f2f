"""What programs do with boto3, as its documentation shows it: each function is a test, told on stdout when it has passed.

Run by `clients.rs`, once with the newest botocore (JSON) and once with the last that speaks the query protocol. Nothing here
knows that it does not talk to Amazon: endpoint, region and keys come from the environment.
"""

import hashlib
import json
import sys
import threading
import time

import boto3
import botocore
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")
PROTOCOL = sqs.meta.service_model.metadata.get("protocol")


def queue(name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def bodies(answer):
    return [message["Body"] for message in answer.get("Messages", [])]


def attributes_of(url, *names):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names) or ["All"])["Attributes"]


def refused(exception, call, **arguments):
    """The call is refused with this exception, which is given back."""
    try:
        call(**arguments)
    except exception as error:
        return error
    raise AssertionError(f"{call.__name__} was not refused with {exception.__name__}")


def test_queues():
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "45"}, tags={"team": "tide"})["QueueUrl"]
    assert url.endswith("/orders"), url
    assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == url
    # The same again is the same queue.
    assert queue("orders", VisibilityTimeout="45") == url
    # With other attributes it is not. (The model calls it QueueNameExists, the service QueueAlreadyExists.)
    error = refused(sqs.exceptions.QueueNameExists, sqs.create_queue, QueueName="orders", Attributes={"VisibilityTimeout": "46"})
    assert error.response["Error"]["Code"] == "QueueAlreadyExists", error.response

    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "tide"}
    sqs.tag_queue(QueueUrl=url, Tags={"stage": "test"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"stage": "test"}

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600", "DelaySeconds": "0"})
    found = attributes_of(url)
    assert found["MessageRetentionPeriod"] == "3600" and found["VisibilityTimeout"] == "45", found
    assert found["QueueArn"].split(":")[:3] == ["arn", "aws", "sqs"] and found["QueueArn"].endswith(":orders"), found
    assert attributes_of(url, "QueueArn") == {"QueueArn": found["QueueArn"]}

    sqs.add_permission(QueueUrl=url, Label="others", AWSAccountIds=["123456789012"], Actions=["SendMessage"])
    assert json.loads(attributes_of(url, "Policy")["Policy"])["Statement"][0]["Sid"] == "others"
    sqs.remove_permission(QueueUrl=url, Label="others")

    sqs.delete_queue(QueueUrl=url)
    refused(sqs.exceptions.QueueDoesNotExist, sqs.get_queue_url, QueueName="orders")


def test_pages_of_queues():
    made = sorted(queue(f"page-{number}") for number in range(7))
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 3})
    pages = [page.get("QueueUrls", []) for page in pages]
    assert [len(page) for page in pages] == [3, 3, 1], pages
    assert sorted(sum(pages, [])) == made
    # Nothing to list is no list.
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="no-such")


def test_messages():
    url = queue("messages")
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody='{"dest": "Zürich ✈"}',
        MessageAttributes={
            "Kind": {"DataType": "String", "StringValue": "flight"},
            "Number": {"DataType": "Number.int", "StringValue": "42"},
            "Bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff\x10"},
        },
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}
        },
    )
    assert sent["MD5OfMessageBody"] == md5('{"dest": "Zürich ✈"}')
    assert len(sent["MD5OfMessageAttributes"]) == len(sent["MD5OfMessageSystemAttributes"]) == 32
    answer = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], MaxNumberOfMessages=10)
    (message,) = answer["Messages"]
    assert message["MessageId"] == sent["MessageId"] and message["Body"] == '{"dest": "Zürich ✈"}'
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"]["Bytes"] == {"DataType": "Binary", "BinaryValue": b"\x00\xff\x10"}
    assert message["MessageAttributes"]["Number"] == {"DataType": "Number.int", "StringValue": "42"}
    told = message["Attributes"]
    assert told["ApproximateReceiveCount"] == "1" and told["AWSTraceHeader"].startswith("Root="), told
    now = time.time() * 1000
    assert now - 60_000 < int(told["SentTimestamp"]) <= int(told["ApproximateFirstReceiveTimestamp"]) < now + 60_000
    assert {"SenderId"} <= told.keys()

    counts = attributes_of(url, "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    assert counts == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "1"}, counts
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    # Deleted already: no error.
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert attributes_of(url, "ApproximateNumberOfMessagesNotVisible") == {"ApproximateNumberOfMessagesNotVisible": "0"}

    # Only the attributes that are asked for, by name and by prefix.
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes={
        "a.b": {"DataType": "String", "StringValue": "1"}, "c": {"DataType": "String", "StringValue": "2"}})
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["a.*"])["Messages"]
    assert list(message["MessageAttributes"]) == ["a.b"] and "Attributes" not in message, message


def test_long_polling():
    url = queue("polled")
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert 0.9 < time.monotonic() - began < 15

    got = {}

    def wait():
        answer = boto3.session.Session().client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)
        got.update(bodies=bodies(answer), at=time.monotonic())

    waiting = threading.Thread(target=wait)
    began = time.monotonic()
    waiting.start()
    # Long enough for the receive to wait; if it does not yet, the test is only weaker.
    time.sleep(0.5)
    sqs.send_message(QueueUrl=url, MessageBody="at last")
    waiting.join()
    assert got["bodies"] == ["at last"] and got["at"] - began < 15, got


def test_visibility():
    url = queue("seen", VisibilityTimeout="600")
    sqs.send_message(QueueUrl=url, MessageBody="again")
    first = sqs.receive_message(QueueUrl=url)["Messages"][0]
    assert not bodies(sqs.receive_message(QueueUrl=url))
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    second = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"], VisibilityTimeout=1)
    assert second["Messages"][0]["Attributes"] == {"ApproximateReceiveCount": "2"}
    third = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
    assert third["MessageId"] == first["MessageId"] and third["ReceiptHandle"] != first["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"], VisibilityTimeout=43200 - 60)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"], VisibilityTimeout=0)
    # It is not in flight any more: the service takes the call and does nothing.
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"], VisibilityTimeout=600)
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["again"]
    refused(sqs.exceptions.ReceiptHandleIsInvalid, sqs.change_message_visibility,
            QueueUrl=url, ReceiptHandle="rubbish", VisibilityTimeout=10)


def test_delay():
    url = queue("delayed", DelaySeconds="1")
    began = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="later")
    assert attributes_of(url, "ApproximateNumberOfMessagesDelayed") == {"ApproximateNumberOfMessagesDelayed": "1"}
    sqs.send_message(QueueUrl=url, MessageBody="now", DelaySeconds=0)
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["now"]
    assert bodies(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)) == ["later"]
    assert time.monotonic() - began > 0.9


def test_batches():
    url = queue("batches")
    entries = [{"Id": f"e{number}", "MessageBody": f"body {number}"} for number in range(10)]
    entries[3]["MessageBody"] = "not \x08 allowed"
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert len(answer["Successful"]) == 9, answer
    assert [(fault["Id"], fault["SenderFault"]) for fault in answer["Failed"]] == [("e3", True)], answer
    assert all(one["MD5OfMessageBody"] == md5("body " + one["Id"][1:]) for one in answer["Successful"])
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(received) == 9
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(received)]
    changed = [dict(handle, VisibilityTimeout=0) for handle in handles[:2]] + [
        {"Id": "bad", "ReceiptHandle": "rubbish", "VisibilityTimeout": 0}]
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=changed)
    assert len(answer["Successful"]) == 2 and answer["Failed"][0]["Code"] == "ReceiptHandleIsInvalid", answer
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=handles + [{"Id": "bad", "ReceiptHandle": "rubbish"}])
    assert len(answer["Successful"]) == 9 and answer["Failed"][0]["Id"] == "bad", answer

    refused(sqs.exceptions.EmptyBatchRequest, sqs.send_message_batch, QueueUrl=url, Entries=[])
    refused(sqs.exceptions.TooManyEntriesInBatchRequest, sqs.send_message_batch, QueueUrl=url,
            Entries=[{"Id": str(number), "MessageBody": "x"} for number in range(11)])
    refused(sqs.exceptions.BatchEntryIdsNotDistinct, sqs.send_message_batch, QueueUrl=url,
            Entries=[{"Id": "same", "MessageBody": "x"}] * 2)
    refused(sqs.exceptions.InvalidBatchEntryId, sqs.send_message_batch, QueueUrl=url,
            Entries=[{"Id": "a b", "MessageBody": "x"}])
    refused(sqs.exceptions.BatchRequestTooLong, sqs.send_message_batch, QueueUrl=url,
            Entries=[{"Id": str(number), "MessageBody": "x" * 600_000} for number in range(2)])


def test_refusals():
    url = queue("refusing")
    missing = url.replace("/refusing", "/nowhere")
    error = refused(sqs.exceptions.QueueDoesNotExist, sqs.send_message, QueueUrl=missing, MessageBody="x")
    assert error.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue", error.response
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400 and error.response["ResponseMetadata"]["RequestId"]
    refused(sqs.exceptions.InvalidMessageContents, sqs.send_message, QueueUrl=url, MessageBody="\x01")
    refused(sqs.exceptions.InvalidAttributeName, sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"])
    for wrong in [
        lambda: sqs.send_message(QueueUrl=url, MessageBody="x" * (1024 * 1024 + 1)),
        lambda: sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=901),
        lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=11),
        lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=21),
        lambda: sqs.create_queue(QueueName="no spaces"),
        lambda: sqs.create_queue(QueueName="x" * 81),
    ]:
        try:
            wrong()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidParameterValue", error.response
        else:
            raise AssertionError("not refused")
    try:
        sqs.send_message(QueueUrl=url, MessageBody="")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "MissingParameter", error.response
    else:
        raise AssertionError("an empty body was taken")
    sqs.send_message(QueueUrl=url, MessageBody="x" * (1024 * 1024))
    sqs.purge_queue(QueueUrl=url)
    assert attributes_of(url, "ApproximateNumberOfMessages") == {"ApproximateNumberOfMessages": "0"}
    refused(sqs.exceptions.PurgeQueueInProgress, sqs.purge_queue, QueueUrl=url)


def test_dead_letters():
    dead = queue("poison-dlq")
    arn = attributes_of(dead, "QueueArn")["QueueArn"]
    url = queue("poison", VisibilityTimeout="0", RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2}))
    sent = sqs.send_message(QueueUrl=url, MessageBody="poison")
    assert [len(bodies(sqs.receive_message(QueueUrl=url))) for _ in range(3)] == [1, 1, 0]
    answer = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"], VisibilityTimeout=0)
    (message,) = answer["Messages"]
    assert message["MessageId"] == sent["MessageId"] and message["Body"] == "poison"
    source = attributes_of(url, "QueueArn")["QueueArn"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == source, message
    pages = sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=dead)
    assert [found for page in pages for found in page["queueUrls"]] == [url]

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
    task = sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
    assert bodies(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)) == ["poison"]
    (known,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    assert known["Status"] == "COMPLETED" and known["ApproximateNumberOfMessagesMoved"] == 1, known
    error = refused(ClientError, sqs.cancel_message_move_task, TaskHandle=task)
    assert "active" in error.response["Error"]["Message"], error.response
    refused(sqs.exceptions.ResourceNotFoundException, sqs.start_message_move_task, SourceArn=arn + "-nowhere")


def test_fifo():
    url = queue("steps.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="30")

    def send(body, group, **more):
        return sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **more)

    numbers = [int(send(f"a{number}", "a")["SequenceNumber"]) for number in range(3)]
    assert numbers == sorted(set(numbers))
    first = send("b0", "b", MessageDeduplicationId="once")
    again = send("b0 again", "b", MessageDeduplicationId="once")
    assert again["MessageId"] == first["MessageId"] and again["SequenceNumber"] == first["SequenceNumber"]
    assert send("a0", "a")["MessageId"], "the same content again is taken and not delivered"

    (one,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert one["Body"] == "a0" and one["Attributes"]["MessageGroupId"] == "a", one
    assert int(one["Attributes"]["SequenceNumber"]) == numbers[0]
    # Its group is blocked, the other is not.
    (other,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert other["Body"] == "b0"
    sqs.delete_message_batch(QueueUrl=url, Entries=[
        {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate([one, other])])
    rest = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert bodies(rest) == ["a1", "a2"]
    try:
        sqs.send_message(QueueUrl=url, MessageBody="x")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "MissingParameter", error.response
    else:
        raise AssertionError("a message without a group was taken")


def test_resources():
    resource = boto3.resource("sqs")
    made = resource.create_queue(QueueName="resources", Attributes={"ReceiveMessageWaitTimeSeconds": "2"})
    found = resource.get_queue_by_name(QueueName="resources")
    assert found.url == made.url and found.attributes["ReceiveMessageWaitTimeSeconds"] == "2"
    found.send_message(MessageBody="one")
    found.send_messages(Entries=[{"Id": "2", "MessageBody": "two"}])
    seen = set()
    while len(seen) < 2:
        for message in found.receive_messages(MaxNumberOfMessages=10, WaitTimeSeconds=5):
            seen.add(message.body)
            message.delete()
    assert seen == {"one", "two"}
    assert made.url in [each.url for each in resource.queues.filter(QueueNamePrefix="res")]
    found.delete()


def main():
    expected = sys.argv[1]
    assert PROTOCOL == expected, f"botocore {botocore.__version__} speaks {PROTOCOL}, not {expected}"
    print(f"boto3 {boto3.__version__}, botocore {botocore.__version__}, {PROTOCOL}", flush=True)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(f"passed {name}", flush=True)
    print("fine", flush=True)


if __name__ == "__main__":
    main()

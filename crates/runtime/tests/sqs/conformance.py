"""Every operation and the errors that programs catch, asked with boto3; each answer is compared with the models.

    conformance.py json|query ENDPOINT OLD_BOTOCORE_FOLDER

In the query protocol boto3 is given the model of its last release that spoke it.
"""

import hashlib
import json
import os
import struct
import sys
import tempfile

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

import model

PROTOCOL, ENDPOINT, OLD = sys.argv[1:4]
MODEL = model.load(os.path.dirname(os.path.dirname(botocore.__file__)))
QUERY_MODEL = model.load(OLD)
BINARY = bytes(range(256))
ATTRIBUTES = {
    "city": {"DataType": "String", "StringValue": "Århus <&> \"x\"\r\n\t."},
    "count": {"DataType": "Number.int", "StringValue": "7"},
    "raw.bytes": {"DataType": "Binary", "BinaryValue": BINARY},
}
BODY = "<a href=\"x\">&amp; é 😀\r\n\ttext</a>"
checked = {"answers": 0, "errors": 0, "operations": set()}


def check_answer(response_dict, operation_name):
    """Of each answer, before botocore makes anything of it."""
    request_id = response_dict["headers"]["x-amzn-requestid"]
    model.must(len(request_id) == 36, "no request id", request_id)
    if response_dict["status_code"] >= 300:
        check = model.check_json_error if PROTOCOL == "json" else model.check_xml_error
        check(MODEL, QUERY_MODEL, response_dict)
        checked["errors"] += 1
        return
    if PROTOCOL == "json":
        model.must(response_dict["headers"]["content-type"] == "application/x-amz-json-1.0", "another type")
        model.check_json(MODEL, operation_name, response_dict["body"])
    else:
        model.must(response_dict["headers"]["content-type"] == "text/xml", "another type")
        model.check_xml(QUERY_MODEL, operation_name, response_dict["body"], request_id)
    checked["answers"] += 1
    checked["operations"].add(operation_name)


def connect():
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
    session = boto3.Session(**keys)
    if PROTOCOL == "query":
        folder = tempfile.mkdtemp()
        os.makedirs(f"{folder}/sqs/2012-11-05")
        with open(f"{folder}/sqs/2012-11-05/service-2.json", "w", encoding="utf-8") as file:
            json.dump(QUERY_MODEL, file)
        # Searched before what botocore brings.
        session._loader.search_paths.insert(0, folder)
    client = session.client("sqs", endpoint_url=ENDPOINT, config=config)
    model.must(client.meta.service_model.metadata["protocol"] == PROTOCOL, "another protocol")

    for operation in client.meta.service_model.operation_names:
        def handler(response_dict, operation=operation, **_):
            check_answer(response_dict, operation)

        client.meta.events.register(f"response-received.sqs.{operation}", handler)
    return session, client


def refused(code, call, **parameters):
    try:
        answer = call(**parameters)
    except ClientError as error:
        found = error.response["Error"]
        model.must(found["Code"] == code, "another error", found)
        model.must(found["Message"], "an error without words")
        model.must(error.response["Error"].get("Type") in ("Sender", None), "another type", found)
        return error
    raise model.Mismatch("not refused", code, answer)


def attributes_digest(attributes):
    digest = hashlib.md5()

    def piece(data):
        digest.update(struct.pack(">I", len(data)) + data)

    for name in sorted(attributes):
        attribute = attributes[name]
        piece(name.encode())
        piece(attribute["DataType"].encode())
        if "BinaryValue" in attribute:
            digest.update(b"\x02")
            piece(attribute["BinaryValue"])
        else:
            digest.update(b"\x01")
            piece(attribute["StringValue"].encode())
    return digest.hexdigest()


def digest(text):
    return hashlib.md5(text.encode()).hexdigest()


def lives_of_queues(sqs):
    url = sqs.create_queue(QueueName="plain", Attributes={"DelaySeconds": "0"}, tags={"team": "a + b"})["QueueUrl"]
    assert url == f"{ENDPOINT}/000000000000/plain", url
    assert sqs.get_queue_url(QueueName="plain")["QueueUrl"] == url
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a + b"}
    sqs.tag_queue(QueueUrl=url, Tags={"cost": "1", "team": "b"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["cost"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "b"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60", "MaximumMessageSize": "262144"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "60", attributes
    assert attributes["QueueArn"].endswith(":000000000000:plain"), attributes
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url)
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111122223333"], Actions=["SendMessage"])
    assert "Policy" in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    sqs.remove_permission(QueueUrl=url, Label="l")
    for number in range(5):
        sqs.create_queue(QueueName=f"list-{number}")
    pages = list(sqs.get_paginator("list_queues").paginate(QueueNamePrefix="list-", PaginationConfig={"PageSize": 2}))
    assert [len(page["QueueUrls"]) for page in pages] == [2, 2, 1], pages
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="none-")
    sqs.delete_queue(QueueUrl=f"{ENDPOINT}/000000000000/list-0")
    error = refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="list-0")
    assert isinstance(error, sqs.exceptions.QueueDoesNotExist)
    refused("AWS.SimpleQueueService.QueueDeletedRecently", sqs.create_queue, QueueName="list-0")
    refused("QueueAlreadyExists", sqs.create_queue, QueueName="plain", Attributes={"DelaySeconds": "5"})
    refused("InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Nothing"])
    refused("InvalidParameterValue", sqs.create_queue, QueueName="not/a/name")
    refused("InvalidAddress", sqs.purge_queue, QueueUrl=f"{ENDPOINT}/plain")
    sqs.purge_queue(QueueUrl=url)
    refused("AWS.SimpleQueueService.PurgeQueueInProgress", sqs.purge_queue, QueueUrl=url)


def lives_of_messages(sqs):
    url = sqs.create_queue(QueueName="messages")["QueueUrl"]
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = sqs.send_message(
        QueueUrl=url, MessageBody=BODY, MessageAttributes=ATTRIBUTES, MessageSystemAttributes=trace, DelaySeconds=0
    )
    assert sent["MD5OfMessageBody"] == digest(BODY)
    assert sent["MD5OfMessageAttributes"] == attributes_digest(ATTRIBUTES)
    assert sent["MD5OfMessageSystemAttributes"] == attributes_digest(trace)
    [message] = sqs.receive_message(
        QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], WaitTimeSeconds=1
    )["Messages"]
    assert message["Body"] == BODY and message["MD5OfBody"] == digest(BODY), message
    assert message["MessageAttributes"] == ATTRIBUTES, message
    assert message["MD5OfMessageAttributes"] == attributes_digest(ATTRIBUTES)
    assert message["Attributes"]["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    [again] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["co.*", "raw.bytes", "none"])["Messages"]
    assert set(again["MessageAttributes"]) == {"count", "raw.bytes"}, again
    assert "Attributes" not in again
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0)
    [again] = sqs.receive_message(QueueUrl=url, AttributeNames=["SenderId"], MessageAttributeNames=["ci.*"])["Messages"]
    some = {"city": ATTRIBUTES["city"]}
    assert again["MessageAttributes"] == some and again["MD5OfMessageAttributes"] == attributes_digest(some), again
    assert set(again["Attributes"]) == {"SenderId"}, again
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.send_message, QueueUrl=f"{url}-none", MessageBody="x")
    refused("InvalidMessageContents", sqs.send_message, QueueUrl=url, MessageBody="\x01")
    error = refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="x")
    assert isinstance(error, sqs.exceptions.ReceiptHandleIsInvalid)
    refused("MissingParameter", sqs.send_message, QueueUrl=url, MessageBody="")
    refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)


def batches(sqs):
    url = sqs.create_queue(QueueName="batches")["QueueUrl"]
    entries = [{"Id": f"m{number}", "MessageBody": f"body {number}"} for number in range(8)]
    entries.append({"Id": "attributes", "MessageBody": BODY, "MessageAttributes": ATTRIBUTES})
    entries.append({"Id": "bad", "MessageBody": "\x02"})
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    bodies = {entry["Id"]: digest(entry["MessageBody"]) for entry in entries}
    assert {entry["Id"]: entry["MD5OfMessageBody"] for entry in answer["Successful"]} == {
        name: body for name, body in bodies.items() if name != "bad"
    }, answer
    assert answer["Successful"][-1]["MD5OfMessageAttributes"] == attributes_digest(ATTRIBUTES)
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("bad", "InvalidMessageContents", True), failed
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(messages) == 9, messages
    receipts = [{"Id": str(number), "ReceiptHandle": of["ReceiptHandle"]} for number, of in enumerate(messages)]
    longer = [{**receipt, "VisibilityTimeout": 100} for receipt in receipts]
    assert "Failed" not in sqs.change_message_visibility_batch(QueueUrl=url, Entries=longer)
    receipts.append({"Id": "wrong", "ReceiptHandle": "x"})
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=receipts)
    assert len(answer["Successful"]) == 9 and answer["Failed"][0]["Code"] == "ReceiptHandleIsInvalid", answer
    for code, entries in [
        ("EmptyBatchRequest", []),
        ("TooManyEntriesInBatchRequest", [{"Id": str(number), "MessageBody": "x"} for number in range(11)]),
        ("BatchEntryIdsNotDistinct", [{"Id": "a", "MessageBody": "x"}] * 2),
        ("InvalidBatchEntryId", [{"Id": "a b", "MessageBody": "x"}]),
        ("BatchRequestTooLong", [{"Id": name, "MessageBody": "x" * 600_000} for name in "ab"]),
    ]:
        error = refused(f"AWS.SimpleQueueService.{code}", sqs.send_message_batch, QueueUrl=url, Entries=entries)
        assert isinstance(error, getattr(sqs.exceptions, code))
    # The largest that there may be, in characters that are written with most bytes.
    for body in ["\"" * 1_048_576, "é" * 524_288, "<" * 1_048_576]:
        sent = sqs.send_message(QueueUrl=url, MessageBody=body)
        assert sent["MD5OfMessageBody"] == digest(body)
        [message] = sqs.receive_message(QueueUrl=url)["Messages"]
        assert message["Body"] == body
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x" * 1_048_577)


def order(sqs):
    url = sqs.create_queue(QueueName="order.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for number in range(3):
        sent = sqs.send_message(
            QueueUrl=url, MessageBody=str(number), MessageGroupId="g", MessageDeduplicationId=str(number)
        )
        assert sent["SequenceNumber"].isdigit(), sent
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], ReceiveRequestAttemptId="once"
    )
    assert [message["Body"] for message in answer["Messages"]] == ["0", "1", "2"], answer
    assert answer["Messages"][0]["Attributes"]["MessageGroupId"] == "g", answer
    refused("MissingParameter", sqs.send_message, QueueUrl=url, MessageBody="x")


def dead_letters(sqs):
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert not sqs.list_dead_letter_source_queues(QueueUrl=dead).get("queueUrls")
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    url = sqs.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})["QueueUrl"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    handle = sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    [task] = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
    assert task["SourceArn"] == arn and task["Status"] in ("RUNNING", "COMPLETED"), task
    if task["Status"] == "RUNNING":
        sqs.cancel_message_move_task(TaskHandle=handle)
    else:
        checked["operations"].add("CancelMessageMoveTask")
    refused("InvalidParameterValue", sqs.cancel_message_move_task, TaskHandle="x")
    none = arn.replace("dead", "none")
    error = refused("ResourceNotFoundException", sqs.start_message_move_task, SourceArn=none)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def resources(session):
    """The other face of boto3."""
    if PROTOCOL == "query":
        return
    queue = session.resource("sqs", endpoint_url=ENDPOINT).create_queue(QueueName="resource")
    queue.send_messages(Entries=[{"Id": "a", "MessageBody": "x"}])
    [message] = queue.receive_messages(WaitTimeSeconds=1)
    message.delete()


def main():
    session, sqs = connect()
    for part in (lives_of_queues, lives_of_messages, batches, order, dead_letters):
        part(sqs)
    resources(session)
    missing = set(sqs.meta.service_model.operation_names) - checked["operations"]
    model.must(not missing, "never asked", missing)
    print(f"{checked['answers']} answers and {checked['errors']} errors agree with the models")


main()

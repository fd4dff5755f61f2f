"""Signatures that botocore makes, in the header and in the URL, for a listener that verifies them.

    signatures.py ENDPOINT OLD_BOTOCORE_FOLDER

The key is `AKID` with the secret `secret/+`.
"""

import json
import os
import sys
import tempfile
import urllib.error
import urllib.request

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

import model

ENDPOINT, OLD = sys.argv[1:3]


def connect(key="AKID", secret="secret/+", token=None, query=False, region="eu-west-1"):
    session = botocore.session.get_session()
    session.set_credentials(key, secret, token)
    if query:
        folder = tempfile.mkdtemp()
        os.makedirs(f"{folder}/sqs/2012-11-05")
        with open(f"{folder}/sqs/2012-11-05/service-2.json", "w", encoding="utf-8") as file:
            json.dump(model.load(OLD), file)
        session.get_component("data_loader").search_paths.insert(0, folder)
    config = Config(retries={"total_max_attempts": 1}, signature_version="v4")
    return session.create_client("sqs", region_name=region, endpoint_url=ENDPOINT, config=config)


def refused(client, code):
    try:
        client.list_queues()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.response
        return
    raise AssertionError(f"not refused: {code}")


def main():
    for query in (False, True):
        for region in ("eu-west-1", "us-gov-east-1"):
            client = connect(query=query, region=region)
            url = client.create_queue(QueueName="signed", tags={"é": "a b:c=d+e"})["QueueUrl"]
            client.send_message(QueueUrl=url, MessageBody="é\r\n" * 1000)
            assert client.receive_message(QueueUrl=url)["Messages"]
        assert connect(token="a/session+token=", query=query).list_queues()["QueueUrls"]
        refused(connect(secret="wrong", query=query), "SignatureDoesNotMatch")
        refused(connect(key="OTHER", query=query), "InvalidClientTokenId")
    presigned = connect(query=True).generate_presigned_url(
        "send_message",
        Params={"QueueUrl": f"{ENDPOINT}/000000000000/signed", "MessageBody": "a b+c&d=é/~*'()"},
        HttpMethod="GET",
    )
    with urllib.request.urlopen(presigned) as answer:
        assert b"<MD5OfMessageBody>" in answer.read()
    try:
        urllib.request.urlopen(presigned.replace("MessageBody=a", "MessageBody=b"))
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"SignatureDoesNotMatch" in error.read()
    else:
        raise AssertionError("a changed URL was let in")
    print("signatures hold")


main()

"""Works off invoices: started with --sqsUrl, polls the queue until it is told to stop.

This is the program as it runs on AWS, where a service starts it and scales it by the number of messages.
"""

import argparse
import json
import signal
import time

import boto3

stopping = False


def stop(signum, frame):
    global stopping
    stopping = True


def work(invoice):
    """Stands for the ten minutes that a real invoice takes."""
    time.sleep(float(invoice.get("seconds", 0.2)) * int(invoice["pages"]))
    print(f"invoice {invoice['invoice']}: {invoice['pages']} pages", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sqsUrl", required=True)
    url = parser.parse_args().sqsUrl
    signal.signal(signal.SIGTERM, stop)
    queue = boto3.client("sqs")
    while not stopping:
        received = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=20)
        for message in received.get("Messages", []):
            work(json.loads(message["Body"]))
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main()

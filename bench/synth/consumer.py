"""What a container behind CDK's pattern has to do by itself: receive, keep, protect its task, work, delete."""
import json, os, subprocess, sys, threading, urllib.request

import boto3

sqs = boto3.client("sqs")
queue = os.environ.get("QUEUE_URL") or sqs.get_queue_url(QueueName=os.environ["QUEUE_NAME"])["QueueUrl"]


def protect(is_working):
    agent = os.environ.get("ECS_AGENT_URI")
    if agent:
        state = json.dumps({"ProtectionEnabled": is_working, "ExpiresInMinutes": 120 if is_working else 1})
        request = urllib.request.Request(f"{agent}/task-protection/v1/state", state.encode(), method="PUT")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request)


def keep(receipt, done):
    while not done.wait(60):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=180)


while True:
    protect(True)  # Before the receive: one that is told to leave cannot be protected any more.
    received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20).get("Messages", [])
    if not received:
        protect(False)
        continue
    message, done = received[0], threading.Event()
    keeper = threading.Thread(target=keep, args=(message["ReceiptHandle"], done), daemon=True)
    keeper.start()
    try:
        dest = json.loads(message["Body"])["dest"]
        subprocess.run([sys.executable, "train.py", dest], check=True)
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    except Exception as error:
        print(f"failed: {error}", flush=True)  # It is back when its visibility timeout is over.
    finally:
        done.set()
        protect(False)

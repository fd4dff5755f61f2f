"""Sends, receives and deletes through boto3, in rounds of one batch: with_boto3.py CLIENTS BATCH MESSAGES. Prints messages a second through
all three calls; the clients are processes, since Python has one interpreter lock each."""

import multiprocessing
import sys
import time

import boto3

BODY = "x" * 100


def work(ready, go, batch, messages):
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="load")["QueueUrl"]
    ready.release()
    go.wait()
    left = messages
    while left > 0:
        now = min(left, batch)
        if batch == 1:
            client.send_message(QueueUrl=url, MessageBody=BODY)
        else:
            client.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": BODY} for n in range(now)])
        received = 0
        while received < now:
            answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=now - received, WaitTimeSeconds=1)
            found = answer.get("Messages", [])
            received += len(found)
            if batch == 1:
                for message in found:
                    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            elif found:
                entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(found)]
                client.delete_message_batch(QueueUrl=url, Entries=entries)
        left -= now


def main():
    clients, batch, messages = map(int, sys.argv[1:])
    ready, go = multiprocessing.Semaphore(0), multiprocessing.Event()
    each = messages // clients
    workers = [multiprocessing.Process(target=work, args=(ready, go, batch, each)) for _ in range(clients)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    began = time.monotonic()
    go.set()
    for worker in workers:
        worker.join()
    print(f"{each * clients / (time.monotonic() - began):.0f}")


if __name__ == "__main__":
    main()

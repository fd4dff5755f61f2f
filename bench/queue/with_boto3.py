"""Messages a second through send, receive and delete with boto3: CLIENTS processes, BATCH messages a call, for SECONDS.

Endpoint, region and keys come from the environment. Prints `rate N`.

usage: with_boto3.py CLIENTS BATCH SECONDS
"""

import multiprocessing
import sys
import time

import boto3

clients, batch, seconds = (int(argument) for argument in sys.argv[1:])
BODY = "x" * 100
PATIENCE = 60


def work(barrier, results):
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="load")["QueueUrl"]
    one_round(sqs, url)
    barrier.wait(PATIENCE)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        done += one_round(sqs, url)
    results.put((done, time.perf_counter() - began))


def one_round(sqs, url):
    """Whose messages it receives does not matter: as many as it sent."""
    if batch == 1:
        sqs.send_message(QueueUrl=url, MessageBody=BODY)
    else:
        entries = [{"Id": str(number), "MessageBody": BODY} for number in range(batch)]
        assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == batch
    left = batch
    while left > 0:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=left, WaitTimeSeconds=1).get("Messages", [])
        left -= len(found)
        if len(found) == 1:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
        elif found:
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(found)]
            assert len(sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == len(found)
    return batch


if __name__ == "__main__":
    barrier, results = multiprocessing.Barrier(clients), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(barrier, results)) for _ in range(clients)]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=PATIENCE + 10 * seconds) for _ in workers]
    for worker in workers:
        worker.join()
    print(f"rate {sum(done / took for done, took in told):.1f}")

"""A Celery application as its users write it: the broker is SQS. Endpoint, region and keys come from the environment."""
import os

from celery import Celery

app = Celery("tasks", broker="sqs://")
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {"region": "us-east-1", "wait_time_seconds": 1, "visibility_timeout": 60}


def note(line):
    with open(os.environ["SUMS"], "a") as sums:
        sums.write(f"{line}\n")


@app.task
def add(x, y):
    note(x + y)


@app.task(bind=True, max_retries=3)
def flaky(self, x):
    """Fails the first time."""
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    note(x)


@app.task(acks_late=True)
def late(x):
    """Acknowledged only when it is done."""
    note(x)

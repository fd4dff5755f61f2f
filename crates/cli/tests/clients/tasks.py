"""A Celery application as its users write it: the broker is SQS."""
import os
from celery import Celery

app = Celery("tasks", broker="sqs://")
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {"region": "us-east-1", "wait_time_seconds": 1, "visibility_timeout": 60, "is_secure": False}
app.conf.task_default_queue = "celery"


@app.task
def add(x, y):
    with open(os.environ["SUMS"], "a") as sums:
        sums.write(f"{x + y}\n")

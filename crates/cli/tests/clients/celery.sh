# A worker of Celery and a program that sends it tasks.
set -eu
export SUMS=$PWD/sums; : > sums
python3 -m celery -A tasks worker --pool solo --loglevel INFO --without-gossip --without-mingle > worker.log 2>&1 &
worker=$!
trap 'kill $worker 2>/dev/null || true' EXIT
python3 - <<'END'
import tasks
for n in range(10):
    tasks.add.delay(n, n)
tasks.flaky.delay(100)
tasks.late.delay(200)
tasks.add.apply_async((150, 150), countdown=1)
END
# Nothing tells that they are done but their lines.
for _ in $(seq 300); do [ "$(wc -l < sums)" = 13 ] && break; sleep 0.1; done
if [ "$(sort -n sums | tr '\n' ' ')" != "0 2 4 6 8 10 12 14 16 18 100 200 300 " ]; then cat sums worker.log >&2; exit 1; fi
# Told to leave, it leaves at once, and what it acknowledged is gone from its queue.
kill -TERM $worker
wait $worker
python3 - <<'END'
import boto3
sqs = boto3.client("sqs")
url = sqs.get_queue_url(QueueName="celery")["QueueUrl"]
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
assert set(left.values()) == {"0"}, left
END
echo fine

# The AWS CLI, as its users type it.
set -eu
# The one that was installed for this test, whatever else there is. It is version 1 (2 is not on PyPI), which takes an endpoint as an
# option only.
aws() { python3 -m awscli --endpoint-url "$AWS_ENDPOINT_URL_SQS" "$@"; }
is() { if [ "$1" != "$2" ]; then echo "expected '$2', found '$1'" >&2; exit 1; fi; }
count() { aws sqs get-queue-attributes --queue-url "$1" --attribute-names All --query "Attributes.$2" --output text; }

url=$(aws sqs create-queue --queue-name orders --attributes VisibilityTimeout=60 --tags team=data --query QueueUrl --output text)
is "$(aws sqs get-queue-url --queue-name orders --query QueueUrl --output text)" "$url"
is "$(aws sqs list-queue-tags --queue-url "$url" --query Tags.team --output text)" data
aws sqs send-message --queue-url "$url" --message-body '{"n": 1}' --message-attributes '{"kind":{"DataType":"String","StringValue":"new"}}' > sent
grep -q MD5OfMessageAttributes sent
aws sqs send-message-batch --queue-url "$url" --entries '[{"Id":"a","MessageBody":"two"},{"Id":"b","MessageBody":"three","DelaySeconds":0}]' > /dev/null
is "$(count "$url" ApproximateNumberOfMessages)" 3
for _ in 1 2 3; do
    receipt=$(aws sqs receive-message --queue-url "$url" --wait-time-seconds 5 --message-attribute-names All --query 'Messages[0].ReceiptHandle' --output text)
    aws sqs change-message-visibility --queue-url "$url" --receipt-handle "$receipt" --visibility-timeout 30
    aws sqs delete-message --queue-url "$url" --receipt-handle "$receipt"
done
is "$(count "$url" ApproximateNumberOfMessagesNotVisible)" 0
# Nothing there: nothing is printed.
is "$(aws sqs receive-message --queue-url "$url" --wait-time-seconds 1)" ""

# Its pages: all of them, a few at a time.
for name in p1 p2 p3; do aws sqs create-queue --queue-name "$name" > /dev/null; done
is "$(aws sqs list-queues --queue-name-prefix p --page-size 1 --query 'QueueUrls[]' --output text | wc -w)" 3
aws sqs list-queues --queue-name-prefix p --max-items 2 > some
grep -q NextToken some

# Dead letters: one receive, and what is seen again goes there.
dead=$(aws sqs create-queue --queue-name orders-dead --query QueueUrl --output text)
arn=$(count "$dead" QueueArn)
aws sqs set-queue-attributes --queue-url "$url" --attributes \
    "{\"VisibilityTimeout\":\"0\",\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"$arn\\\",\\\"maxReceiveCount\\\":\\\"1\\\"}\"}"
aws sqs send-message --queue-url "$url" --message-body poison > /dev/null
aws sqs receive-message --queue-url "$url" > /dev/null
is "$(aws sqs receive-message --queue-url "$url")" ""
is "$(aws sqs receive-message --queue-url "$dead" --visibility-timeout 0 --query 'Messages[0].Body' --output text)" poison
is "$(aws sqs list-dead-letter-source-queues --queue-url "$dead" --query 'queueUrls[0]' --output text)" "$url"
aws sqs start-message-move-task --source-arn "$arn" > /dev/null
is "$(aws sqs receive-message --queue-url "$url" --wait-time-seconds 10 --query 'Messages[0].Body' --output text)" poison

# In order, and once.
steps=$(aws sqs create-queue --queue-name steps.fifo --attributes FifoQueue=true,ContentBasedDeduplication=true --query QueueUrl --output text)
for body in one two one; do aws sqs send-message --queue-url "$steps" --message-body "$body" --message-group-id g > /dev/null; done
is "$(aws sqs receive-message --queue-url "$steps" --max-number-of-messages 10 --query 'Messages[].Body' --output text | tr '\t' ' ')" "one two"

# Refusals: the exit code of version 1 for whatever fails, and what they are called.
code=0; aws sqs get-queue-url --queue-name nowhere 2> error || code=$?
is "$code" 255
grep -q 'An error occurred (AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueUrl operation: ' error
code=0; aws sqs send-message --queue-url "$url" --message-body x --delay-seconds 901 2> error || code=$?
is "$code" 255
grep -q InvalidParameterValue error
aws sqs purge-queue --queue-url "$url"
aws sqs delete-queue --queue-url "$url"
echo fine

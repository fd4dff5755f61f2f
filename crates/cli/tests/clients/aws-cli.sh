# The AWS CLI, as its users type it.
set -eu
sqs() { python3 -m awscli --endpoint-url "$AWS_ENDPOINT_URL_SQS" sqs "$@"; }
url=$(sqs create-queue --queue-name orders --attributes VisibilityTimeout=60 --tags team=data --query QueueUrl --output text)
[ "$(sqs get-queue-url --queue-name orders --query QueueUrl --output text)" = "$url" ]
sqs send-message --queue-url "$url" --message-body '{"n": 1}' --message-attributes '{"kind":{"DataType":"String","StringValue":"new"}}' > /dev/null
sqs send-message-batch --queue-url "$url" --entries '[{"Id":"a","MessageBody":"two"},{"Id":"b","MessageBody":"three","DelaySeconds":0}]' > /dev/null
[ "$(sqs get-queue-attributes --queue-url "$url" --attribute-names ApproximateNumberOfMessages --query Attributes.ApproximateNumberOfMessages --output text)" = 3 ]
for _ in 1 2 3; do
    receipt=$(sqs receive-message --queue-url "$url" --wait-time-seconds 5 --message-attribute-names All --query 'Messages[0].ReceiptHandle' --output text)
    sqs change-message-visibility --queue-url "$url" --receipt-handle "$receipt" --visibility-timeout 30
    sqs delete-message --queue-url "$url" --receipt-handle "$receipt"
done
[ "$(sqs get-queue-attributes --queue-url "$url" --attribute-names All --query Attributes.ApproximateNumberOfMessagesNotVisible --output text)" = 0 ]
[ "$(sqs list-queue-tags --queue-url "$url" --query Tags.team --output text)" = data ]
sqs list-queues --queue-name-prefix ord --query 'QueueUrls[0]' --output text | grep -q orders
if sqs get-queue-url --queue-name nowhere 2> error; then exit 1; fi
grep -q 'AWS.SimpleQueueService.NonExistentQueue\|QueueDoesNotExist' error
sqs purge-queue --queue-url "$url"
sqs delete-queue --queue-url "$url"
echo fine

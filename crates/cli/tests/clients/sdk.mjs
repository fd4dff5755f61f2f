// The JavaScript SDK v3 and sqs-consumer, as their users write it.
import assert from "node:assert";
import { SQSClient, CreateQueueCommand, SendMessageCommand, SendMessageBatchCommand, ReceiveMessageCommand, DeleteMessageCommand,
  GetQueueAttributesCommand, GetQueueUrlCommand, ListQueuesCommand, paginateListQueues, QueueDoesNotExist } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const client = new SQSClient();
const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: "js" }));
await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "grüße", MessageAttributes: { n: { DataType: "Number", StringValue: "7" } } }));
const { Messages: [message] } = await client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 5, MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] }));
assert.equal(message.Body, "grüße");
assert.equal(message.MessageAttributes.n.StringValue, "7");
assert.equal(message.Attributes.ApproximateReceiveCount, "1");
await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
await assert.rejects(client.send(new GetQueueUrlCommand({ QueueName: "nowhere" })), QueueDoesNotExist);
const names = [];
for await (const page of paginateListQueues({ client, pageSize: 2 }, {})) names.push(...(page.QueueUrls ?? []));
assert(names.includes(QueueUrl));

// sqs-consumer: twenty messages, one of them refused once.
const Entries = [...Array(10).keys()].map((n) => ({ Id: `m${n}`, MessageBody: JSON.stringify({ n }) }));
await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
await client.send(new SendMessageBatchCommand({ QueueUrl, Entries: Entries.map((e, n) => ({ ...e, MessageBody: JSON.stringify({ n: n + 10 }) })) }));
const seen = new Map();
await new Promise((done, fail) => {
  const consumer = Consumer.create({
    queueUrl: QueueUrl, sqs: client, batchSize: 10, waitTimeSeconds: 5, terminateVisibilityTimeout: true,
    handleMessage: async (message) => {
      const { n } = JSON.parse(message.Body);
      seen.set(n, (seen.get(n) ?? 0) + 1);
      if (n === 3 && seen.get(n) === 1) throw new Error("not yet");
      return message;
    },
  });
  consumer.on("error", fail);
  consumer.on("message_processed", () => { if (seen.size === 20 && seen.get(3) === 2) consumer.stop(); });
  consumer.on("stopped", done);
  consumer.start();
});
assert.equal(seen.size, 20);
const left = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
assert.equal(left.Attributes.ApproximateNumberOfMessages, "0");
console.log("fine");

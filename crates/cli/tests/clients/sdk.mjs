// The JavaScript SDK v3 and sqs-consumer, as their users write it. Endpoint, region and keys come from the environment.
import assert from "node:assert";
import {
  BatchEntryIdsNotDistinct, ChangeMessageVisibilityCommand, CreateQueueCommand, DeleteMessageBatchCommand, DeleteMessageCommand,
  DeleteQueueCommand, GetQueueAttributesCommand, GetQueueUrlCommand, paginateListQueues, QueueDoesNotExist, ReceiptHandleIsInvalid,
  ReceiveMessageCommand, SendMessageBatchCommand, SendMessageCommand, SQSClient,
} from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const client = new SQSClient();
const create = async (QueueName, Attributes) => (await client.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl;
const attribute = async (QueueUrl, name) =>
  (await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [name] }))).Attributes[name];
const receive = async (QueueUrl, more) => (await client.send(new ReceiveMessageCommand({ QueueUrl, ...more }))).Messages ?? [];
const batch = (from, count) =>
  [...Array(count).keys()].map((n) => ({ Id: `m${n}`, MessageBody: JSON.stringify({ n: from + n }) }));

const QueueUrl = await create("js");

// One message, from sending to deleting.
await client.send(new SendMessageCommand({
  QueueUrl,
  MessageBody: "grüße",
  MessageAttributes: {
    n: { DataType: "Number", StringValue: "7" },
    bytes: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255]) },
  },
}));
const [message] = await receive(QueueUrl, { WaitTimeSeconds: 5, MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] });
assert.equal(message.Body, "grüße");
assert.equal(message.MessageAttributes.n.StringValue, "7");
assert.deepEqual([...message.MessageAttributes.bytes.BinaryValue], [0, 255]);
assert.equal(message.Attributes.ApproximateReceiveCount, "1");
const { ReceiptHandle } = message;
await client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 60 }));
await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));

// A receive that waits has what is sent meanwhile.
const waiting = receive(QueueUrl, { WaitTimeSeconds: 20 });
await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "at last" }));
const [late] = await waiting;
assert.equal(late.Body, "at last");
await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: late.ReceiptHandle }));

// Batches tell what was refused.
const mixed = await client.send(new SendMessageBatchCommand({
  QueueUrl,
  Entries: [{ Id: "good", MessageBody: "x" }, { Id: "bad", MessageBody: "\u0001" }],
}));
assert.deepEqual(mixed.Successful.map((one) => one.Id), ["good"]);
assert.deepEqual(mixed.Failed.map((one) => [one.Id, one.SenderFault]), [["bad", true]]);
const [good] = await receive(QueueUrl);
const removed = await client.send(new DeleteMessageBatchCommand({
  QueueUrl,
  Entries: [{ Id: "1", ReceiptHandle: good.ReceiptHandle }, { Id: "2", ReceiptHandle: "rubbish" }],
}));
assert.deepEqual([removed.Successful.length, removed.Failed[0].Code], [1, "ReceiptHandleIsInvalid"]);

// Refusals are exceptions of their own kinds.
await assert.rejects(client.send(new GetQueueUrlCommand({ QueueName: "nowhere" })), QueueDoesNotExist);
await assert.rejects(
  client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: "rubbish", VisibilityTimeout: 1 })), ReceiptHandleIsInvalid);
const twice = [{ Id: "same", MessageBody: "x" }, { Id: "same", MessageBody: "y" }];
await assert.rejects(client.send(new SendMessageBatchCommand({ QueueUrl, Entries: twice })), BatchEntryIdsNotDistinct);
await assert.rejects(client.send(new SendMessageCommand({ QueueUrl, MessageBody: "x", DelaySeconds: 901 })), { name: "InvalidParameterValue" });

// Pages of queues.
for (const name of ["page-1", "page-2", "page-3"]) await create(name);
const pages = [];
for await (const page of paginateListQueues({ client, pageSize: 2 }, { QueueNamePrefix: "page-" })) pages.push(page.QueueUrls);
assert.deepEqual(pages.map((page) => page.length), [2, 1]);

// FIFO: in order, and once.
const steps = await create("steps.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
for (const MessageBody of ["one", "two", "one"]) {
  const sent = await client.send(new SendMessageCommand({ QueueUrl: steps, MessageBody, MessageGroupId: "g" }));
  assert(sent.SequenceNumber);
}
const ordered = await receive(steps, { MaxNumberOfMessages: 10 });
assert.deepEqual(ordered.map((one) => one.Body), ["one", "two"]);
await client.send(new DeleteQueueCommand({ QueueUrl: steps }));

// Runs a consumer of sqs-consumer until `isDone` after a message.
const consume = (url, options, isDone) => new Promise((done, fail) => {
  const consumer = Consumer.create({ queueUrl: url, sqs: client, waitTimeSeconds: 20, ...options });
  const look = () => { if (isDone()) consumer.stop(); };
  consumer.on("error", fail);
  consumer.on("timeout_error", fail);
  consumer.on("message_processed", look);
  consumer.on("processing_error", look);
  consumer.on("stopped", done);
  consumer.start();
});

// Twenty messages, one of them refused once: it comes again at once.
await client.send(new SendMessageBatchCommand({ QueueUrl, Entries: batch(0, 10) }));
await client.send(new SendMessageBatchCommand({ QueueUrl, Entries: batch(10, 10) }));
const seen = new Map();
await consume(QueueUrl, {
  batchSize: 10,
  terminateVisibilityTimeout: true,
  handleMessage: async (message) => {
    const { n } = JSON.parse(message.Body);
    seen.set(n, (seen.get(n) ?? 0) + 1);
    if (n === 3 && seen.get(n) === 1) throw new Error("not yet");
    return message;
  },
}, () => seen.size === 20 && seen.get(3) === 2);
assert.equal([...seen.values()].reduce((sum, times) => sum + times, 0), 21);
assert.equal(await attribute(QueueUrl, "ApproximateNumberOfMessages"), "0");

// A handler that takes longer than the visibility, with a heartbeat: its message is not delivered twice.
const slow = await create("slow");
await client.send(new SendMessageCommand({ QueueUrl: slow, MessageBody: "long" }));
let times = 0;
await consume(slow, {
  visibilityTimeout: 2,
  heartbeatInterval: 1,
  handleMessage: async (message) => {
    times += 1;
    // Longer than its message is hidden without the heartbeat.
    await new Promise((later) => setTimeout(later, 3500));
    return message;
  },
}, () => times > 0);
assert.equal(times, 1);
assert.equal(await attribute(slow, "ApproximateNumberOfMessages"), "0");

// A poison message: its handler always fails, and it ends among the dead letters.
const dead = await create("dead");
const deadLetterTargetArn = await attribute(dead, "QueueArn");
const poison = await create("poison", { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 2 }) });
await client.send(new SendMessageCommand({ QueueUrl: poison, MessageBody: "poison" }));
let failures = 0;
await consume(poison, {
  terminateVisibilityTimeout: true,
  handleMessage: async () => { failures += 1; throw new Error("never"); },
}, () => failures === 2);
// It is given back after the failure was told; whoever receives then finds nothing and moves it.
let letters = [];
while (letters.length === 0) {
  assert.deepEqual(await receive(poison, { WaitTimeSeconds: 1 }), []);
  letters = await receive(dead);
}
assert.deepEqual(letters.map((one) => one.Body), ["poison"]);
console.log("fine");

//! What a task on AWS is told by variables: one list for what writes them (`tasks.rs`, `machine.rs`) and for the worker's binary, which reads
//! them. Only names: where the things themselves are kept is `docs/decisions/008-run-on-aws.md`.

/// Whose part the binary takes: one of the roles below.
pub const ROLE: &str = "KINGTIDE_ROLE";
/// Runs the job's program for each message.
pub const ROLE_WORKER: &str = "worker";
/// Directs a run.
pub const ROLE_DISPATCHER: &str = "dispatcher";
/// Stands between a consumer and its queue.
pub const ROLE_SIDECAR: &str = "sidecar";

/// The stack's name: what every key in the bucket begins with.
pub const STACK: &str = "KINGTIDE_STACK";
pub const BUCKET: &str = "KINGTIDE_BUCKET";
/// The job, as a document.
pub const JOB: &str = "KINGTIDE_JOB";
/// The job's queue; for a worker, the queue of its size.
pub const QUEUE_URL: &str = "KINGTIDE_QUEUE_URL";
pub const DEAD_LETTERS_URL: &str = "KINGTIDE_DEAD_LETTERS_URL";

/// Of a worker: the number of the run that it was started for. Not set for a service, whose workers nobody directs.
pub const RUN: &str = "KINGTIDE_RUN";
/// Of a worker: where a message goes that needs more memory than this one has. Not set for the largest.
pub const NEXT_QUEUE_URL: &str = "KINGTIDE_NEXT_QUEUE_URL";
/// Of a worker: what an attempt may have, in bytes; on a higher rung more than the job says. Not set where nothing is limited.
pub const MEMORY: &str = "KINGTIDE_MEMORY";
/// Of a worker: how long a receive waits for a message, in seconds; as long as a queue lets, where nobody has said. It leaves after a few that
/// found nothing.
pub const WAIT_S: &str = "KINGTIDE_WAIT_S";
/// Of a worker: how much of its log is kept of one attempt, in bytes.
pub const LOG_LIMIT: &str = "KINGTIDE_LOG_LIMIT";
/// Of a worker: a folder that everybody may write to, for what is not part of the image.
pub const WORK: &str = "KINGTIDE_WORK";
/// Of a worker: what the image itself starts, as two JSON lists; the job's own `entrypoint` and `command` come before them.
pub const IMAGE_ENTRYPOINT: &str = "KINGTIDE_IMAGE_ENTRYPOINT";
pub const IMAGE_COMMAND: &str = "KINGTIDE_IMAGE_COMMAND";
/// Of a worker or a sidecar: `true` for one of a service. It stays when the queue is empty, and is protected from scaling in while it works
/// (`PUT $ECS_AGENT_URI/task-protection/v1/state`).
pub const SERVICE: &str = "KINGTIDE_SERVICE";
/// Of a sidecar: the port of 127.0.0.1 on which it speaks the API of SQS.
pub const PORT: &str = "KINGTIDE_PORT";

/// Of a dispatcher: the execution's name.
pub const EXECUTION: &str = "KINGTIDE_EXECUTION";
/// Of a dispatcher: when the execution began, RFC 3339.
pub const STARTED: &str = "KINGTIDE_STARTED";
/// Of a dispatcher: what the execution was handed, `start.rs`.
pub const INPUT: &str = "KINGTIDE_INPUT";
/// Of a dispatcher: the cluster's ARN.
pub const CLUSTER: &str = "KINGTIDE_CLUSTER";
/// Of a dispatcher: what it may start, by growing memory: `rung.rs`.
pub const RUNGS: &str = "KINGTIDE_RUNGS";
/// Of a dispatcher: comma-separated.
pub const SUBNETS: &str = "KINGTIDE_SUBNETS";
pub const SECURITY_GROUPS: &str = "KINGTIDE_SECURITY_GROUPS";
/// Of a dispatcher: `true` or `false`.
pub const PUBLIC_IP: &str = "KINGTIDE_PUBLIC_IP";
/// Of a dispatcher: `true` where tasks may run on Spot capacity.
pub const SPOT: &str = "KINGTIDE_SPOT";
/// Of a dispatcher: how many tasks at once, at most. Not set where nobody has said.
pub const MAX_WORKERS: &str = "KINGTIDE_MAX_WORKERS";
/// Of a dispatcher: the key, below the stack's name, of the messages of a run that is handed none, a JSON object a line. Empty where there are
/// none: such a run works off what is in the queue.
pub const PARAMS: &str = "KINGTIDE_PARAMS";
/// Of a dispatcher: for so long nothing must have been in the queue before a run ends, in seconds. Not set where an ending run misses nothing.
pub const LINGER_S: &str = "KINGTIDE_LINGER_S";
/// Of a dispatcher: `true` where somebody wants to hear of what it has to warn of; then it may put events on the default bus.
pub const WARNS: &str = "KINGTIDE_WARNS";

/// Where those events come from.
pub const EVENT_SOURCE: &str = "kingtide";
/// Their detail types. Their detail is `{ "stack", "job", "run", "text" }`, all texts: `run` is its name, `text` a sentence.
pub const EVENT_LATE: &str = "Kingtide Run Late";
pub const EVENT_COST: &str = "Kingtide Run At Cost Limit";

/// The containers of the definitions.
pub const CONTAINER_INSTALL: &str = "kingtide";
pub const CONTAINER_JOB: &str = "job";
pub const CONTAINER_SIDECAR: &str = "sidecar";
pub const CONTAINER_DISPATCHER: &str = "dispatcher";

//! What is said beside the figures: how to read them, and what each model assumes, with where it is written.

pub(super) const NOTES: &str = "
*killed*: attempts ended in the middle; *repeated*: attempts at what another was working on or had done; *$ a run*: tasks beyond those that are there all week, \
with what directs them; *$ a month*: idle, and a run a week. *never*: so many weeks end with jobs that were not done, their messages dead or outlived (4 days).

How to read it:
- No service reaches 100 %: of 100 jobs the longest takes more than an hour in one week of five. That is a matter of the jobs; a bigger task for the longest would help.
- AWS Batch is as fast as can be, and first in time: its children start at once, where Kingtide starts a dispatcher before its workers. It sends no messages, keeps \
no dead letters, and tells a child nothing but its number.
- Kingtide is two points behind Batch: its workers start half a minute later, after their dispatcher. As SQS hands out in no order, a tight deadline takes nearly a worker for each message; \
half of them would do with the longest first (below).
- CDK's properties cannot both start a burst and let it finish: its alarm sees none visible while all are being worked on. A program of one's own that protects its task \
(`docs/from-cdk.md`) mends that; the metric's sleep of up to a quarter of an hour stays.
- KEDA's ScaledJob is as good as Batch where a cluster stands anyway.";

pub(super) const IDLE_NOTES: &str = "
Storage of logs, images and results is left out for all. A cluster or a VPC with gateways that is there for other work costs this nothing.";

pub(super) const ASSUMPTIONS: &str = "\
- *All*: a task starts in 57 s (log-normal, sigma 0.1), as was measured for an image of 413 MB; it is paid for from the pull of its image, four fifths of that, for a \
minute at least; 100 at once and 20 a second (`start.rs`). No quota is met. Pods on Fargate are taken to start as fast as tasks of ECS, in KEDA's favour.
- *SQS*: no order; after the visibility timeout anybody may have a message; the fourth receive of three allowed makes a dead letter; a delete with an old receipt does nothing; \
messages are kept for four days (`queue.rs`).
- *CDK* (aws-cdk-lib 2.276.0, `cdk.rs`): alarms over five minutes' maximum of the visible messages, steps -1, +1 from 100, +5 from 500, cooldown 300 s, 1 to 2 tasks, CPU held at \
50 % (a job keeps its processor busy), three receives, 30 s of visibility which the program does not extend. Best effort: 0 to 100 tasks, steps -100 and +100, cooldown a minute, \
two hours of visibility, no scaling by CPU, public subnets. With no task to ask the queue for six hours, its metric is silent for up to a quarter of an hour: taken as even from \
0 to 15 minutes. Whom a scale-in ends is chance, and it is ended at once. *Cooldown 2 h*: read in its favour, as if it kept the other policy from scaling in, too. *Protected*: \
the program holds its task's protection while it works and extends its message; no construct does that for it. New services also rebalance zones by default, which is left out.
- *Copilot* (out of support since June 2026, `copilot.rs`): 1 to 100 tasks, `msg_processing_time: 22m`, visibility two hours, no dead letters; a function each minute divides the \
visible messages by the tasks, target tracking holds that at `acceptable_latency` by the processing time, rounded up. How fast target tracking scales in is not documented: here by one task for each \
cooldown, the slowest.
- *KEDA* (`keda.rs`): `queueLength: 1`, what is in flight counts, 100 at most, a poll in 30 s; the autoscaler's defaults (15 s, doubling, 5 minutes of stabilisation, 10 % tolerance). Its count is taken as exact, \
though it may be late (KEDA #7330).
- *AWS Batch* (`batch.rs`): an array of 100 on Fargate in public subnets; its scheduler takes no time, for nothing says how much it takes; on Spot as many attempts as it takes (it allows ten).
- *Kingtide* (`kingtide.rs`): a dispatcher that starts in 30 s and looks every 15 s, then as many workers as `kingtide_core::plan` says; a worker waits a minute for a message before it leaves. \
*Spot by slack*: as many workers on Spot as there are jobs whose second attempt would still be in time.
- *Spot* costs 30 %; how often it is taken away is not published: 5 and 20 % an hour are assumptions.
- *Prices* of us-east-1 (`money.rs`).";

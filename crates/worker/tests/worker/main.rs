//! The real worker against our own queues, spoken with as with Amazon SQS, and an S3 in memory: what is left in the bucket and in the queues, whatever
//! happens to it. `conformance.rs` compares what programs see with a run on one machine.

mod conformance;
mod container;
mod faults;
mod quiet;
mod run;
mod world;

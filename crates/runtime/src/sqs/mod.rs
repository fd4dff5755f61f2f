//! The Amazon SQS API: what can be asked and answered, and the two protocols that carry it. What a queue *does* is
//! `queue/`, who listens is `http/`.

mod call;
pub mod fault;
pub mod operation;

pub use call::Call;

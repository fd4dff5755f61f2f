//! Executions of state machines, for the part of Amazon States Language that `core/cloud/machine.rs` writes, in virtual time: `machine.rs` reads
//! a definition, `expression.rs` is its JSONata, `execution.rs` goes through it. Anything else in a definition is an error, not passed over: what
//! is not understood here is not claimed to work there.
//! <https://states-language.net/>, <https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>

mod execution;
mod expression;
mod machine;

pub use execution::{Answer, Call, Ending, Execution};
pub use expression::Expression;
pub use machine::{Machine, Service};

//! AWS, asked for `kingtide`: deploys, opens runs and fetches what is known of them. Its binary reads requests and writes events
//! (`kingtide_remote::wire`); nothing here is for people's eyes.
//!
//! `session.rs` answers requests one after the other. `stack/` is about CloudFormation's stack, `run/` about runs and what is kept of them;
//! `premises.rs`, `doctor.rs` and `prices.rs` look around. `credentials.rs` is the only place that knows of `aws-config`; every request goes
//! through `kingtide_remote::request`.

pub mod credentials;
mod doctor;
mod failure;
mod http;
mod pace;
mod premises;
mod prices;
mod run;
pub mod session;
mod site;
mod stack;

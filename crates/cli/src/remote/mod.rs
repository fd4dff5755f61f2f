//! AWS, from here: which stack a project is (`site.rs`), and the second binary that asks AWS for us (`session.rs`), so that this one needs no
//! SDK. `fetched.rs` is what is known here of runs there,
//! `quote.rs` on which terms a run would be there, `tariff.rs` what AWS asks, `events.rs` how a stack that changes is shown, `consent.rs` whether somebody wants it.

pub(crate) mod consent;
pub(crate) mod events;
pub(crate) mod fetched;
pub(crate) mod quote;
pub(crate) mod session;
pub(crate) mod site;
pub(crate) mod tariff;

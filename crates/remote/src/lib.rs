//! What lies on AWS, for whoever asks: worker, dispatcher and laptop. Blocking, without an SDK, and small: the worker that goes into every
//! image links it. See `docs/decisions/008-run-on-aws.md`.
//!
//! `request/` is how AWS is asked, `record/` what is kept there of a run; `wire/` is how `kingtide`
//! speaks with `kingtide-aws`.

pub mod record;
pub mod request;
pub mod wire;

//! `schema`: the JSON Schema of `kingtide.toml`.

use std::io::Write;

use crate::exit::{Exit, Outcome};
use crate::output;
use kingtide_core::project::schema;

pub(crate) fn run() -> Outcome {
    let mut out = output::data();
    serde_json::to_writer_pretty(&mut out, &schema()).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Exit::Done)
}

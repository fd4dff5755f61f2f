//! `outputs`: the folders that tasks left behind, streamed.

use std::io::Write;

use kingtide_runtime::view::{Output, Run, Snapshot};
use serde_json::json;

use crate::args::Outputs;
use crate::exit::{Exit, Outcome};
use crate::output::text::{bytes, count, plural, tame};
use crate::output::{self, json};
use crate::remote::fetched::{self, Want};
use crate::settings::Settings;

const PAGE: usize = 256;

pub(crate) fn run(outputs: &Outputs, settings: &Settings) -> Outcome {
    let place = fetched::place(&outputs.place, Some(&outputs.run), Want::Outputs, settings)?;
    let database = place.database()?;
    let snapshot = database.snapshot()?;
    let run = outputs.run.find(&snapshot)?;
    let mut out = output::data();
    let folder = place.layout().outputs(&run.job, run.id);
    each(&snapshot, &run, &mut |output| {
        let path = folder.join(output.task.seq.to_string());
        if settings.json {
            let value = json!({
                "task": output.task.seq,
                "params": json::params(&output.message),
                "path": path.to_string_lossy(),
                "files": output.files,
                "bytes": output.bytes,
            });
            return json::line(&mut out, &value);
        }
        let size = bytes(output.bytes);
        writeln!(
            out,
            "{}  {:>5}  {size:>9}  {}",
            path.display(),
            count(output.files),
            tame(&output.message.label())
        )
    })?;
    out.flush()?;
    let total = snapshot.output_total(run.id)?;
    if !settings.quiet && !settings.json {
        let said = match total.outputs {
            0 => format!(
                "{} has no outputs: its programs wrote nothing to KINGTIDE_OUTPUT",
                run.name()
            ),
            _ => format!(
                "{}: {}, {}, {}",
                run.name(),
                plural(total.outputs, "folder"),
                plural(total.files, "file"),
                bytes(total.bytes)
            ),
        };
        output::say(&said);
    }
    Ok(Exit::Done)
}

fn each(snapshot: &Snapshot<'_>, run: &Run, visit: &mut dyn FnMut(&Output) -> std::io::Result<()>) -> Outcome<()> {
    let mut after = 0;
    loop {
        let page = snapshot.outputs(run.id, after, PAGE)?;
        for output in &page {
            visit(output)?;
            after = output.task.seq;
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

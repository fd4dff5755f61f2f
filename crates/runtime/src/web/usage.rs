//! What runs have cost of processor, memory and disk, and what the machine has of each.

use kingtide_core::id::RunId;
use serde_json::{Value, json};

use super::query::Query;
use super::{Look, Objection, process};
use crate::machine::Machine;
use crate::view::Run;
use crate::view::json::seconds;

/// The machine and the newest runs: `job=`, `after=` (a run's number), `limit=`.
pub(super) fn list(look: &Look<'_>, query: &mut Query) -> Result<Value, Objection> {
    let job = query.text("job");
    let after = query.parse("after", "the number of a run")?.map(RunId);
    let limit = query.limit()?;
    let mut runs = look
        .snapshot
        .runs_before(job.as_deref(), None, after, limit as u64 + 1)?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(|run| run.id.0);
    let mut of_runs = Vec::with_capacity(runs.len());
    for run in &runs {
        let mut value = of_run(look, run)?;
        value["run"] = run.id.0.into();
        value["name"] = run.name().into();
        value["state"] = run.state.text().into();
        of_runs.push(value);
    }
    Ok(json!({ "machine": machine(look), "kingtide": runtime(look), "runs": of_runs, "next": next }))
}

/// Of attempts that have ended, and of what they left behind. Bytes where nothing else is said.
pub(super) fn of_run(look: &Look<'_>, run: &Run) -> Result<Value, Objection> {
    let effort = look.site.efforts.of(look.snapshot, run.id, run.state)?;
    let outputs = look.snapshot.output_total(run.id)?;
    Ok(json!({
        "attempts": effort.attempts(),
        "cpu_s": seconds(effort.cpu),
        "running_s": seconds(effort.wall),
        "memory_peak": effort.memory_peak,
        "read_bytes": effort.read_bytes,
        "written_bytes": effort.written_bytes,
        "output_bytes": outputs.bytes,
    }))
}

fn machine(look: &Look<'_>) -> Value {
    let machine = Machine::read();
    let available = process::memory_available();
    let disk = rustix::fs::statvfs(look.site.layout.project()).ok();
    let of_disk = |blocks: u64| disk.as_ref().map(|disk| blocks.saturating_mul(disk.f_frsize));
    json!({
        "cpu": f64::from(machine.cpu_milli) / 1000.0,
        "load": process::load(),
        "memory": machine.memory,
        "memory_available": available,
        "gpus": machine.gpus,
        "disk": disk.as_ref().and_then(|disk| of_disk(disk.f_blocks)),
        "disk_available": disk.as_ref().and_then(|disk| of_disk(disk.f_bavail)),
    })
}

/// This process, and its database.
fn runtime(look: &Look<'_>) -> Value {
    let process = process::Process::read();
    let database = look.site.layout.database();
    let bytes = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "cpu_s": process.as_ref().map(|process| process.cpu_s),
        "memory": process.as_ref().map(|process| process.resident_bytes),
        "database_bytes": bytes(&database) + bytes(&database.with_extension("db-wal")),
    })
}

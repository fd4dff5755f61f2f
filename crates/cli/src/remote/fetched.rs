//! What is known here of runs on AWS: fetched before it is shown, kept in a database like that of runs here, and shown as it was where nobody can
//! be asked. The same commands read it.

use std::collections::BTreeMap;

use kingtide_core::engine::event::{Counts, RunState, TaskState};
use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;
use kingtide_remote::record::{self, Opener, Progress, RunDocument, RunOutcome, TaskDocument, TaskLine};
use kingtide_remote::wire::{Ask, Document, Event, Fetch};
use kingtide_runtime::store::{FetchedRun, FetchedTask, Store};
use serde_json::Value as Json;

use super::session::Session;
use super::site::Site;
use crate::args::Where;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::text::{ago, now};
use crate::project::Place;
use crate::select::RunName;
use crate::settings::Settings;

/// So many runs are fetched where none is named.
const NEWEST: u32 = 20;

/// How much of runs is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// How they stand, task by task.
    Runs,
    /// Also what programs wrote, where that was too long for the record of the run.
    Results,
    /// Also the files that they left behind.
    Outputs,
}

/// The project here, or what is known of its stack: fetched first, if anybody answers.
pub(crate) fn place(of: &Where, run: Option<&RunName>, want: Want, settings: &Settings) -> Outcome<Place> {
    if !of.is_aws() {
        return Place::find(settings);
    }
    let site = Site::find(settings, of.env.as_deref())?;
    let place = known(&site);
    let fetched = site
        .session()
        .and_then(|mut session| fetch(&site, &mut session, run, want));
    if let Err(failure) = fetched {
        // What was fetched before is shown, with its age; where there is nothing, what kept us from it is the answer.
        let Some(at) = fetched_at(&place) else {
            return Err(failure);
        };
        if !settings.quiet {
            output::say(&format!("as of {}: {}", ago(now().since(at)), failure.words()));
        }
    }
    Ok(place)
}

/// Where what is known of a stack lies.
pub(crate) fn known(site: &Site) -> Place {
    Place {
        stack: Some(site.stack.clone()),
        ..site.place.clone()
    }
}

/// When something was fetched last.
pub(crate) fn fetched_at(place: &Place) -> Option<Timestamp> {
    let database = place.database().ok()?;
    let snapshot = database.snapshot().ok()?;
    Some(snapshot.lease().ok()??.renewed_at)
}

/// Brings what is known up to date: the newest runs, or the one that is named.
pub(crate) fn fetch(site: &Site, session: &mut Session, run: Option<&RunName>, want: Want) -> Outcome<()> {
    let place = known(site);
    let mut store = Store::open(place.layout().root())?;
    store.note_fetched(now())?;
    let named = run.and_then(number).map(|run| vec![run]).unwrap_or_default();
    // One whose results or files are wanted is fetched again, for those.
    let known: Vec<i64> = match want {
        Want::Runs => store.fetched()?.into_iter().map(|run| run.0).collect(),
        Want::Results | Want::Outputs => Vec::new(),
    };
    let newest = match (named.is_empty(), want) {
        (false, _) => 0,
        (true, Want::Runs) => NEWEST,
        (true, Want::Results | Want::Outputs) => 1,
    };
    let outputs = place.layout().root().join("outputs");
    let ask = Fetch {
        newest,
        runs: named,
        known,
        results: want == Want::Results,
        outputs: (want == Want::Outputs).then(|| outputs.display().to_string()),
    };
    let mut documents: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    session.ask(Ask::Fetch(ask), |event| {
        if let Event::Document(Document { key, body }) = event
            && let Some((run, name)) = parse(&key)
        {
            documents.entry(run).or_default().insert(name.to_owned(), body);
        }
        Ok(())
    })?;
    for (run, documents) in documents {
        if let Some(run) = of_documents(site, RunId(run), &documents)? {
            store.take_fetched(&run)?;
        }
    }
    Ok(())
}

/// The number of a run, where the name says one.
fn number(name: &RunName) -> Option<i64> {
    match name {
        RunName::Last => None,
        RunName::Id(id) => Some(*id),
        RunName::Named(name) => name.rsplit_once('-')?.1.parse().ok(),
    }
}

/// `12` and `tasks.jsonl` of `runs/12/tasks.jsonl`.
fn parse(key: &str) -> Option<(i64, &str)> {
    let (run, name) = key.strip_prefix("runs/")?.split_once('/')?;
    Some((run.parse().ok()?, name))
}

/// A run of what lies in the bucket of it. `None`: it has not been opened whole.
fn of_documents(site: &Site, id: RunId, documents: &BTreeMap<String, String>) -> Outcome<Option<FetchedRun>> {
    let key = |name: &str| format!("{}/runs/{id}/{name}", site.stack);
    let read_failed = |error: record::DocumentError| Failure::from(error);
    let Some(text) = documents.get("run.json") else {
        return Ok(None);
    };
    let opened: RunDocument = record::read(&key("run.json"), text.as_bytes()).map_err(read_failed)?;
    let outcome: Option<RunOutcome> = match documents.get("outcome.json") {
        Some(text) => Some(record::read(&key("outcome.json"), text.as_bytes()).map_err(read_failed)?),
        None => None,
    };
    let progress: Option<Progress> = match documents.get("progress.json") {
        Some(text) => Some(record::read(&key("progress.json"), text.as_bytes()).map_err(read_failed)?),
        None => None,
    };
    let tasks = match documents.get("tasks.jsonl") {
        Some(lines) => of_lines(id, &key("tasks.jsonl"), lines, documents)?,
        None => of_tasks(id, &key("tasks/"), documents)?,
    };
    let mut counts: Counts = outcome
        .as_ref()
        .map(|outcome| outcome.counts)
        .or(progress.as_ref().map(|progress| progress.counts))
        .unwrap_or_default()
        .into();
    counts.total = counts.total.max(opened.total).max(tasks.len() as u64);
    let confidence = site.project.jobs.get(&opened.job).map(|job| job.confidence);
    Ok(Some(FetchedRun {
        run: id,
        job: opened.job.clone(),
        state: outcome.as_ref().map_or(RunState::Open, |outcome| outcome.state),
        reason: outcome.as_ref().and_then(|outcome| outcome.reason.clone()),
        // Here `late` is of `max_duration`: a deadline that was missed can be told from the tasks.
        late: false,
        source: source(opened.by).to_owned(),
        created_at: Timestamp(opened.opened_ms),
        due_at: opened.deadline_ms.map(Timestamp),
        confidence: opened.deadline_ms.and(confidence),
        ended_at: outcome.as_ref().map(|outcome| Timestamp(outcome.ended_ms)),
        workers: opened.workers,
        counts,
        tasks,
    }))
}

fn source(by: Opener) -> &'static str {
    match by {
        Opener::Cli => "started by hand",
        Opener::Schedule => "its schedule",
        Opener::Trigger => "an object that arrived",
        Opener::Doorbell => "messages that were sent",
    }
}

/// Of a run that is over: all tasks in one object.
fn of_lines(run: RunId, key: &str, lines: &str, documents: &BTreeMap<String, String>) -> Outcome<Vec<FetchedTask>> {
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let line: TaskLine = record::read(key, line.as_bytes()).map_err(Failure::from)?;
            Ok(task(run, line, documents))
        })
        .collect()
}

/// Of one under way: what workers have written so far, and the messages of which nobody has.
fn of_tasks(run: RunId, key: &str, documents: &BTreeMap<String, String>) -> Outcome<Vec<FetchedTask>> {
    let messages = documents.get("messages.jsonl").map_or("", String::as_str);
    let mut tasks = Vec::new();
    for (seq, body) in (1_i64..).zip(messages.lines()) {
        let name = format!("tasks/{seq:010}");
        let message: Json = serde_json::from_str(body).unwrap_or_else(|_| Json::from(body));
        tasks.push(match documents.get(&name) {
            Some(text) => {
                let of: TaskDocument =
                    record::read(&format!("{key}{seq:010}"), text.as_bytes()).map_err(Failure::from)?;
                task(run, TaskLine::new(seq, message, &of), documents)
            }
            None => waiting(seq, body),
        });
    }
    Ok(tasks)
}

fn waiting(seq: i64, body: &str) -> FetchedTask {
    FetchedTask {
        seq,
        body: body.to_owned(),
        state: TaskState::Waiting,
        attempt: 0,
        ledger: Default::default(),
        started_at: None,
        ended_at: None,
        reason: None,
        attempts: Vec::new(),
        result: None,
        output: None,
    }
}

fn task(run: RunId, line: TaskLine, documents: &BTreeMap<String, String>) -> FetchedTask {
    let id = run.task(line.seq);
    let last = line.attempts.last();
    let number = last.map_or(0, |last| last.number);
    let is_over = line.state.is_over();
    // A result that was too long for the line is an object of its own.
    let whole = documents.get(&format!("results/{:010}.{number}", line.seq)).cloned();
    let body = match &line.message {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    FetchedTask {
        seq: line.seq,
        body,
        state: line.state,
        attempt: number,
        ledger: line.ledger(),
        started_at: last
            .filter(|_| !is_over)
            .and_then(|last| last.started_ms)
            .map(Timestamp),
        ended_at: last.filter(|_| is_over).and_then(|last| last.ended_ms).map(Timestamp),
        reason: last.and_then(|last| last.reason.clone()),
        attempts: line.attempts.iter().filter_map(|attempt| attempt.row(id)).collect(),
        result: whole.or_else(|| line.result.as_ref().map(Json::to_string)),
        output: last
            .filter(|_| line.state == TaskState::Succeeded)
            .and_then(|last| last.output)
            .map(|output| (output.files, output.bytes)),
    }
}

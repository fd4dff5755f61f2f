//! `log`: what an attempt has said. Of one that is over its object in the bucket; while it runs CloudWatch Logs has the lines of its worker, of
//! which those since the attempt began are its own.

use kingtide_core::cloud::template::LogicalId;
use kingtide_core::id::AttemptId;
use kingtide_exec::stamp;
use kingtide_remote::record::{self, Attempt, RunDocument, RunKeys, TaskDocument};
use kingtide_remote::request::{OrAbsent as _, cloudformation, logs};
use kingtide_remote::wire::{Event, FailureKind};

use super::{opened, text};
use crate::failure::{Failure, Outcome};
use crate::pace::Pace;
use crate::site::Site;

pub(crate) fn log(site: &mut Site<'_>, attempt: AttemptId, follow: bool) -> Outcome {
    let bucket = site.bucket()?;
    let keys = site.keys().run(attempt.task.run);
    if let Some(whole) = text(site, &bucket, &keys.log(attempt))? {
        return whole.lines().try_for_each(|line| {
            let (at_ms, text) = split(line);
            say(site, at_ms, text)
        });
    }
    let run: RunDocument = record::read(&keys.document(), opened(site, &bucket, &keys)?.as_bytes())?;
    let group = group(site, &run.job)?;
    let mut next: Option<String> = None;
    let mut pace = Pace::new();
    loop {
        let of = recorded(site, &bucket, &keys, attempt)?;
        let stream = of.as_ref().map(|of| of.place.stream.clone()).unwrap_or_default();
        let is_over = of.as_ref().is_some_and(|of| of.outcome.is_some());
        if let Some(of) = of.as_ref().filter(|_| !stream.is_empty()) {
            while page(site, &group, &stream, of, &mut next)? {
                pace.hurry();
            }
        }
        match (&of, follow) {
            (None, false) => return Err(nothing(attempt)),
            // Of a run that is over nothing begins any more.
            (None, true) if text(site, &bucket, &keys.outcome())?.is_some() => return Err(nothing(attempt)),
            (_, true) if !is_over => pace.wait(),
            _ => return Ok(()),
        }
    }
}

/// Says the next lines; whether there were any.
fn page(site: &mut Site<'_>, group: &str, stream: &str, of: &Attempt, next: &mut Option<String>) -> Outcome<bool> {
    // A stream that nobody has written to yet is not there.
    let Some(page) = logs::lines(site.client, group, stream, next.as_deref()).or_absent()? else {
        return Ok(false);
    };
    let is_same = page.next == *next;
    let from = of.started_ms.unwrap_or(of.claimed_ms);
    let until = of.ended_ms.unwrap_or(i64::MAX);
    let mut said = false;
    for line in page.lines.iter().filter(|line| (from..=until).contains(&line.at_ms)) {
        say(site, line.at_ms, &line.text)?;
        said = true;
    }
    *next = page.next.or(next.take());
    Ok(said || !is_same)
}

fn say(site: &mut Site<'_>, at_ms: i64, text: &str) -> Outcome {
    site.say(Event::Line {
        at_ms,
        text: text.to_owned(),
    })
}

/// The log group of a job, by the stack.
fn group(site: &Site<'_>, job: &str) -> Outcome<String> {
    let name = LogicalId::of(job, "Logs");
    let resources = cloudformation::resources(site.client, site.stack)?;
    let found = resources
        .into_iter()
        .find(|resource| resource.logical_id == name.as_str());
    let found = found.map(|resource| resource.physical_id).filter(|id| !id.is_empty());
    found.ok_or_else(|| {
        Failure::new(
            FailureKind::NotFound,
            format!("the stack has no logs of the job `{job}`"),
        )
    })
}

fn recorded(site: &Site<'_>, bucket: &str, keys: &RunKeys, attempt: AttemptId) -> Outcome<Option<Attempt>> {
    let key = keys.task(attempt.task.seq);
    let Some(body) = text(site, bucket, &key)? else {
        return Ok(None);
    };
    let document: TaskDocument = record::read(&key, body.as_bytes())?;
    let found = document
        .attempts
        .into_iter()
        .find(|known| known.number == attempt.number);
    Ok(found)
}

fn nothing(attempt: AttemptId) -> Failure {
    Failure::new(FailureKind::NotFound, format!("the attempt {attempt} has not begun"))
}

/// When, and what: each line has the moment in front.
fn split(line: &str) -> (i64, &str) {
    let Some((at, text)) = line.split_at_checked(stamp::STAMP_BYTES) else {
        return (0, line);
    };
    match stamp::moment(at.trim_end()) {
        Some(at_ms) => (at_ms, text),
        None => (0, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_moment_in_front() {
        assert_eq!(split("1970-01-01T00:00:01.500Z hello"), (1500, "hello"));
        assert_eq!(split("hello"), (0, "hello"));
        assert_eq!(
            split("not a moment, but as long as one"),
            (0, "not a moment, but as long as one")
        );
    }
}

//! `watch`: how a run stands whenever that has changed, until it is over.

use kingtide_core::id::RunId;
use kingtide_remote::record::{self, RunDocument};
use kingtide_remote::request::{OrAbsent as _, s3, states};
use kingtide_remote::wire::{Event, FailureKind};
use serde_json::Value as Json;

use super::{opened, text};
use crate::failure::{Failure, Outcome};
use crate::pace::Pace;
use crate::site::Site;

/// Every so many looks the execution is asked whether it still lives: its dispatcher may never have come up.
const ASK_EXECUTION: u32 = 5;

pub(crate) fn watch(site: &mut Site<'_>, run: i64) -> Outcome {
    let bucket = site.bucket()?;
    let keys = site.keys().run(RunId(run));
    let document: RunDocument = record::read(&keys.document(), opened(site, &bucket, &keys)?.as_bytes())?;
    let mut seen = String::new();
    let mut pace = Pace::new();
    let mut looks = 0;
    // Whether the execution was found over before the record was.
    let mut ended: Option<String> = None;
    loop {
        let progress = s3::get(site.client, &bucket, &keys.progress()).or_absent()?;
        if let Some(progress) = progress.filter(|progress| progress.head.etag != seen) {
            seen = progress.head.etag;
            pace.hurry();
            let document = json(&progress.body);
            site.say(Event::Progress { document })?;
        }
        if let Some(outcome) = text(site, &bucket, &keys.outcome())? {
            let document = json(outcome.as_bytes());
            return site.say(Event::Outcome { document });
        }
        if let Some(why) = ended {
            return Err(
                Failure::new(FailureKind::Stack, format!("the run {run} has ended without a word")).because(why),
            );
        }
        looks += 1;
        if looks % ASK_EXECUTION == 0
            && let Some(execution) = states::describe(site.client, &document.execution).or_absent()?
            && execution.status != "RUNNING"
        {
            let said: Vec<String> = [execution.error, execution.cause].into_iter().flatten().collect();
            ended = Some(format!(
                "{} is {}: {}",
                document.execution,
                execution.status,
                said.join(", ")
            ));
        }
        pace.wait();
    }
}

fn json(body: &[u8]) -> Json {
    serde_json::from_slice(body).unwrap_or_default()
}

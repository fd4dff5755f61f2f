//! `contents`: what would be lost with a stack.

use kingtide_remote::request::cloudformation::{self, Stack};
use kingtide_remote::request::{OrAbsent as _, ecr, s3, sqs, states};
use kingtide_remote::wire::{Contents, Event};

use crate::failure::Outcome;
use crate::site::Site;

pub(crate) fn contents(site: &mut Site<'_>) -> Outcome {
    let stack = site.deployed()?;
    let resources = cloudformation::resources(site.client, site.stack)?;
    let mut contents = Contents {
        bucket: stack.outputs.get("Bucket").cloned(),
        bucket_is_foreign: !resources.iter().any(|resource| resource.kind == "AWS::S3::Bucket"),
        ..Contents::default()
    };
    if let Some(bucket) = &contents.bucket {
        let objects = s3::list(site.client, bucket, &format!("{}/", site.stack), "").or_absent()?;
        let numbers = site.keys().numbers();
        for object in objects.unwrap_or_default() {
            contents.objects += 1;
            contents.bytes += object.size;
            contents.runs += u64::from(object.key.starts_with(&numbers));
        }
    }
    for machine in ending(&stack, "StateMachine") {
        let running = states::list(site.client, machine, "RUNNING")
            .or_absent()?
            .unwrap_or_default();
        contents
            .running
            .extend(running.into_iter().map(|execution| execution.name));
    }
    for url in ending(&stack, "QueueUrl").chain(ending(&stack, "DeadLettersUrl")) {
        let attributes = sqs::attributes(site.client, url).or_absent()?.unwrap_or_default();
        let count = |name: &str| attributes.get(name).and_then(|text| text.parse::<u64>().ok());
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let waiting = names.iter().filter_map(|name| count(name)).sum();
        let name = url.rsplit('/').next().unwrap_or(url);
        contents.messages.insert(name.to_owned(), waiting);
    }
    if let Some((_, repository)) = stack.outputs.get("Repository").and_then(|uri| uri.split_once('/')) {
        let images = ecr::images(site.client, repository).or_absent()?.unwrap_or_default();
        contents.images = images.len() as u64;
    }
    site.say(Event::Contents(contents))
}

/// What a stack says of all its jobs.
pub(super) fn ending<'s>(stack: &'s Stack, kind: &'static str) -> impl Iterator<Item = &'s str> {
    let outputs = stack.outputs.iter();
    outputs
        .filter(move |(name, _)| name.ends_with(kind))
        .map(|(_, value)| value.as_str())
}

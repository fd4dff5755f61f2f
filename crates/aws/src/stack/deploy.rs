//! `deploy`: files into the bucket, then the stack by a change set. One that was interrupted is gone on with.

use std::fs::File;
use std::path::Path;

use kingtide_remote::request::cloudformation::Stack;
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::wire::{Deploy, Event};

use super::change::{self, Change};
use super::describe::told;
use crate::failure::{Outcome, file};
use crate::site::{Site, output};

pub(crate) fn deploy(site: &mut Site<'_>, deploy: &Deploy) -> Outcome {
    let before = change::ready(site)?;
    // Before anything may start by itself; a stack that is made now has its bucket only afterwards.
    let is_early = before
        .as_ref()
        .is_some_and(|stack| stack.outputs.contains_key("Bucket"));
    if let Some(stack) = before.as_ref().filter(|_| is_early) {
        put_files(site, stack, deploy)?;
    }
    let change = Change {
        template: &deploy.template,
        parameters: &deploy.parameters,
        tags: &deploy.tags,
    };
    let stack = change::make(site, before.as_ref(), &change)?;
    if !is_early {
        put_files(site, &stack, deploy)?;
    }
    let told = told(site, stack, None)?;
    site.say(Event::Stack(Box::new(told)))
}

fn put_files(site: &Site<'_>, stack: &Stack, deploy: &Deploy) -> Outcome {
    if deploy.files.is_empty() {
        return Ok(());
    }
    let bucket = output(stack, "Bucket")?;
    for (key, path) in &deploy.files {
        let path = Path::new(path);
        let opened = File::open(path).map_err(|error| file(path, &error))?;
        let key = format!("{}/{key}", site.stack);
        s3::put_file(site.client, bucket, &key, &opened, Condition::Always)?;
    }
    Ok(())
}

//! `destroy`: what runs is ended, then the stack goes; its bucket only where that was said. What is gone already hinders nobody, so that one that
//! was interrupted is gone on with.

use kingtide_remote::request::cloudformation::{self, Stack};
use kingtide_remote::request::ecs::{self, Wanted};
use kingtide_remote::request::{OrAbsent as _, s3, states};

use super::contents::ending;
use super::follow::{explain, follow, newest};
use crate::failure::Outcome;
use crate::pace::Pace;
use crate::site::Site;

const REASON: &str = "the stack is being removed";

pub(crate) fn destroy(site: &mut Site<'_>, with_data: bool) -> Outcome {
    let Some(stack) = cloudformation::describe(site.client, site.stack)? else {
        return Ok(());
    };
    let resources = cloudformation::resources(site.client, &stack.id)
        .or_absent()?
        .unwrap_or_default();
    let is_own_bucket = resources.iter().any(|resource| resource.kind == "AWS::S3::Bucket");
    for machine in ending(&stack, "StateMachine") {
        for execution in states::list(site.client, machine, "RUNNING")
            .or_absent()?
            .unwrap_or_default()
        {
            states::stop(site.client, &execution.execution_arn, REASON).or_absent()?;
        }
    }
    let clusters = resources.iter().filter(|resource| resource.kind == "AWS::ECS::Cluster");
    for cluster in clusters
        .map(|resource| resource.physical_id.as_str())
        .filter(|id| !id.is_empty())
    {
        end_tasks(site, cluster)?;
    }
    if with_data {
        // Before the stack goes: once it is gone nobody knows the bucket's name.
        empty(site, &stack, is_own_bucket)?;
    }
    let after = newest(site, &stack.id)?;
    cloudformation::delete(site.client, &stack.id)?;
    let (left, events) = follow(site, &stack.id, after, true)?;
    if let Some(left) = left {
        let what = format!("the stack `{}` could not be removed whole", site.stack);
        let failure = explain(&what, &left.status, left.reason.as_deref(), &events);
        return Err(failure.help("`kingtide destroy` again goes on with what is left"));
    }
    if with_data && is_own_bucket {
        // What was written while the stack went.
        empty(site, &stack, true)?;
        if let Some(bucket) = stack.outputs.get("Bucket") {
            s3::delete_bucket(site.client, bucket).or_absent()?;
        }
    }
    Ok(())
}

/// A cluster with tasks cannot be removed.
fn end_tasks(site: &Site<'_>, cluster: &str) -> Outcome {
    let mut pace = Pace::new();
    let mut told: Vec<String> = Vec::new();
    loop {
        let tasks = ecs::list(site.client, cluster, Wanted::default())
            .or_absent()?
            .unwrap_or_default();
        if tasks.is_empty() {
            return Ok(());
        }
        for task in tasks {
            if !told.contains(&task) {
                ecs::stop(site.client, cluster, &task, REASON).or_absent()?;
                told.push(task);
            }
        }
        // What was told to stop is not listed any more once AWS wants it stopped.
        pace.wait();
    }
}

/// All versions of all that is the stack's: of its own bucket everything.
fn empty(site: &Site<'_>, stack: &Stack, is_own_bucket: bool) -> Outcome {
    let Some(bucket) = stack.outputs.get("Bucket") else {
        return Ok(());
    };
    let prefix = match is_own_bucket {
        true => String::new(),
        false => format!("{}/", site.stack),
    };
    loop {
        let versions = s3::versions(site.client, bucket, &prefix)
            .or_absent()?
            .unwrap_or_default();
        if versions.is_empty() {
            return Ok(());
        }
        s3::delete_versions(site.client, bucket, &versions)?;
    }
}

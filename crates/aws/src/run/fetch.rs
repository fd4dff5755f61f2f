//! `fetch`: documents of runs as they lie in the bucket. Many small objects are read side by side, and told in the order of their keys.

use std::collections::BTreeSet;
use std::thread;

use kingtide_core::id::RunId;
use kingtide_remote::record::RunKeys;
use kingtide_remote::request::s3;
use kingtide_remote::wire::{Document, Event, Fetch};

use super::{outputs, text};
use crate::failure::Outcome;
use crate::site::Site;

/// So many are read at once.
const SIDE_BY_SIDE: usize = 16;
/// And so many before any of them is told: memory stays small.
const AT_ONCE: usize = 512;

pub(crate) fn fetch(site: &mut Site<'_>, fetch: &Fetch) -> Outcome {
    let bucket = site.bucket()?;
    for run in wanted(site, &bucket, fetch)? {
        let keys = site.keys().run(run);
        let mut names = vec![
            keys.document(),
            keys.progress(),
            keys.outcome(),
            keys.lines(),
            keys.cancel(),
        ];
        let told = tell(site, &bucket, &names)?;
        if !told.contains(&keys.lines()) {
            // It is under way: what there is of its tasks so far.
            names = vec![keys.messages()];
            names.extend(below(site, &bucket, &keys.tasks())?);
            names.extend(below(site, &bucket, &keys.arrivals())?);
            tell(site, &bucket, &names)?;
            // Empty objects, whose names say all.
            for prefix in [keys.begins(), keys.ends()] {
                for key in below(site, &bucket, &prefix)? {
                    say(site, &key, String::new())?;
                }
            }
        }
        if fetch.results {
            let results = below(site, &bucket, &results(&keys))?;
            tell(site, &bucket, &results)?;
        }
        if let Some(folder) = &fetch.outputs {
            outputs::fetch(site, &bucket, run, folder.as_ref())?;
        }
    }
    Ok(())
}

/// The newest runs, or those that are named, without those that are known; the newest first.
fn wanted(site: &Site<'_>, bucket: &str, fetch: &Fetch) -> Outcome<Vec<RunId>> {
    let mut runs: BTreeSet<i64> = fetch.runs.iter().copied().collect();
    if fetch.newest > 0 {
        let keys = site.keys();
        let page = s3::list_page(site.client, bucket, &keys.numbers(), "", "", fetch.newest)?;
        let numbers = page.objects.iter().filter_map(|object| keys.parse_number(&object.key));
        runs.extend(numbers.map(|run| run.0));
    }
    let known: BTreeSet<i64> = fetch.known.iter().copied().collect();
    let newest_first = runs.into_iter().rev();
    Ok(newest_first.filter(|run| !known.contains(run)).map(RunId).collect())
}

fn results(keys: &RunKeys) -> String {
    format!("{}results/", keys.prefix())
}

fn below(site: &Site<'_>, bucket: &str, prefix: &str) -> Outcome<Vec<String>> {
    let objects = s3::list(site.client, bucket, prefix, "")?;
    Ok(objects.into_iter().map(|object| object.key).collect())
}

fn say(site: &mut Site<'_>, key: &str, body: String) -> Outcome {
    let key = site.short(key).to_owned();
    site.say(Event::Document(Document { key, body }))
}

/// Tells those that are there; their keys.
fn tell(site: &mut Site<'_>, bucket: &str, keys: &[String]) -> Outcome<BTreeSet<String>> {
    let mut told = BTreeSet::new();
    for keys in keys.chunks(AT_ONCE) {
        for (key, body) in read(site, bucket, keys)? {
            say(site, &key, body)?;
            told.insert(key);
        }
    }
    Ok(told)
}

/// Those that are there, in order.
fn read(site: &Site<'_>, bucket: &str, keys: &[String]) -> Outcome<Vec<(String, String)>> {
    let Site {
        client, stack, account, ..
    } = site;
    let (client, stack, account) = (*client, *stack, *account);
    let share = keys.len().div_ceil(SIDE_BY_SIDE).max(1);
    let parts: Vec<Outcome<Vec<(String, String)>>> = thread::scope(|scope| {
        let threads: Vec<_> = keys
            .chunks(share)
            .map(|keys| {
                scope.spawn(move || {
                    let mut silent = |_| Ok(());
                    let site = Site::new(client, account, stack, &mut silent);
                    let mut found = Vec::new();
                    for key in keys {
                        if let Some(body) = text(&site, bucket, key)? {
                            found.push((key.clone(), body));
                        }
                    }
                    Ok(found)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("reading does not panic"))
            .collect()
    });
    let mut all = Vec::with_capacity(keys.len());
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

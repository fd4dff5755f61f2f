//! `premises`: what bounds a run, the account's quotas and the addresses that are free.

use std::collections::BTreeSet;
use std::time::SystemTime;

use kingtide_remote::request::{Client, Kind, RequestError, cloudformation, cloudwatch, ec2, quotas};
use kingtide_remote::wire::{Event, Premises};
use serde_json::Value as Json;

use crate::failure::Outcome;
use crate::site::Site;

pub(crate) fn premises(site: &mut Site<'_>) -> Outcome {
    let subnets = subnets(site)?;
    let addresses = match subnets.is_empty() {
        true => None,
        false => {
            let found = allowed(ec2::subnets(site.client, &subnets))?;
            found.map(|found| found.iter().map(|subnet| subnet.free_addresses).sum())
        }
    };
    let premises = Premises {
        region: site.client.region().to_owned(),
        vcpu_quota: quota(site.client, quotas::FARGATE_ON_DEMAND)?,
        spot_vcpu_quota: quota(site.client, quotas::FARGATE_SPOT)?,
        vcpus_in_use: allowed(cloudwatch::fargate_vcpus(
            site.client,
            cloudwatch::ON_DEMAND,
            SystemTime::now(),
        ))?
        .flatten(),
        addresses,
    };
    site.say(Event::Premises(premises))
}

fn quota(client: &Client, code: &str) -> Outcome<Option<f64>> {
    allowed(quotas::fargate(client, code))
}

/// What may not be asked, or is not told, is not known; it keeps nobody from running.
pub(crate) fn allowed<T>(answer: Result<T, RequestError>) -> Outcome<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind, Kind::Denied | Kind::NotFound | Kind::Invalid) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The stack's own subnets, and those that its template names.
pub(crate) fn subnets(site: &Site<'_>) -> Outcome<Vec<String>> {
    let resources = cloudformation::resources(site.client, site.stack)?;
    let own = resources
        .into_iter()
        .filter(|resource| resource.kind == "AWS::EC2::Subnet");
    let own: Vec<String> = own.map(|resource| resource.physical_id).collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let template = cloudformation::template(site.client, site.stack)?;
    let template: Json = serde_json::from_str(&template).unwrap_or_default();
    let mut named = BTreeSet::new();
    collect(&template, &mut named);
    Ok(named.into_iter().collect())
}

/// Texts that are ids of subnets, wherever they stand.
fn collect(json: &Json, named: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => {
            let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
            named.extend(words.filter(|word| is_subnet(word)).map(str::to_owned));
        }
        Json::Array(list) => list.iter().for_each(|one| collect(one, named)),
        Json::Object(fields) => fields.values().for_each(|one| collect(one, named)),
        _ => {}
    }
}

fn is_subnet(word: &str) -> bool {
    let digits = word.strip_prefix("subnet-").unwrap_or_default();
    digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_found_wherever_a_template_names_them() {
        let template = serde_json::json!({
            "A": { "Subnets": ["subnet-0a1b2c3d", "subnet-0123456789abcdef0"] },
            "B": "{\"Subnets\":[\"subnet-0a1b2c3d\"]}",
            "C": "subnet-ids, subnet-zz112233",
        });
        let mut named = BTreeSet::new();
        collect(&template, &mut named);
        assert_eq!(
            named.into_iter().collect::<Vec<_>>(),
            ["subnet-0123456789abcdef0", "subnet-0a1b2c3d"]
        );
    }
}

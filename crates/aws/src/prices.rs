//! `prices`: what AWS's price list says today of what the table of prices has. What the list does not have (Spot) or is not found in it is not
//! told: the table keeps what it has.

use kingtide_core::cloud::prices::Item;
use kingtide_remote::request::pricing::{self, Offer};
use kingtide_remote::wire::{Event, Price};

use crate::failure::Outcome;
use crate::site::Site;

/// Where an item stands in the list.
struct Listed {
    item: Item,
    service: &'static str,
    /// Beside the region.
    attributes: &'static [(&'static str, &'static str)],
    /// The end of its usage type: in most regions something stands before it.
    usage: &'static str,
    /// From the list's unit to the table's.
    times: f64,
}

const fn listed(item: Item, service: &'static str, usage: &'static str, times: f64) -> Listed {
    Listed {
        item,
        service,
        attributes: &[],
        usage,
        times,
    }
}

const LIST: &[Listed] = &[
    listed(Item::VcpuHour, "AmazonECS", "Fargate-vCPU-Hours:perCPU", 1.0),
    listed(Item::GbHour, "AmazonECS", "Fargate-GB-Hours", 1.0),
    listed(Item::ArmVcpuHour, "AmazonECS", "Fargate-ARM-vCPU-Hours:perCPU", 1.0),
    listed(Item::ArmGbHour, "AmazonECS", "Fargate-ARM-GB-Hours", 1.0),
    listed(
        Item::EphemeralGbHour,
        "AmazonECS",
        "Fargate-EphemeralStorage-GB-Hours",
        1.0,
    ),
    listed(Item::PublicIpv4Hour, "AmazonVPC", "PublicIPv4:InUseAddress", 1.0),
    listed(Item::EndpointHour, "AmazonVPC", "VpcEndpoint-Hours", 1.0),
    Listed {
        item: Item::NatGatewayHour,
        service: "AmazonEC2",
        // The list of all instances is long.
        attributes: &[("productFamily", "NAT Gateway")],
        usage: "NatGateway-Hours",
        times: 1.0,
    },
    listed(Item::AlarmMonth, "AmazonCloudWatch", "CW:AlarmMonitorUsage", 1.0),
    listed(Item::LogGb, "AmazonCloudWatch", "DataProcessing-Bytes", 1.0),
    listed(Item::LogGbMonth, "AmazonCloudWatch", "TimedStorage-ByteHrs", 1.0),
    listed(Item::SqsMillion, "AWSQueueService", "Requests-Tier1", 1e6),
    listed(Item::S3PutThousand, "AmazonS3", "Requests-Tier1", 1e3),
    listed(Item::S3GetThousand, "AmazonS3", "Requests-Tier2", 1e3),
    listed(Item::S3GbMonth, "AmazonS3", "TimedStorage-ByteHrs", 1.0),
    listed(Item::TransitionThousand, "AmazonStates", "StateTransition", 1e3),
    listed(Item::ImageGbMonth, "AmazonECR", "TimedStorage-ByteHrs", 1.0),
];

pub(crate) fn prices(site: &mut Site<'_>, regions: &[String]) -> Outcome {
    for region in regions {
        for service in services() {
            for attributes in attributes(service) {
                let mut wanted = vec![("regionCode", region.as_str())];
                wanted.extend(attributes);
                let offers = pricing::offers(site.client, service, &wanted)?;
                for listed in LIST
                    .iter()
                    .filter(|one| one.service == service && one.attributes == attributes)
                {
                    if let Some(offer) = find(&offers, listed.usage) {
                        site.say(Event::Price(price(region, listed, offer)))?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn services() -> Vec<&'static str> {
    let mut services: Vec<&str> = LIST.iter().map(|listed| listed.service).collect();
    services.dedup();
    services
}

fn attributes(service: &str) -> Vec<&'static [(&'static str, &'static str)]> {
    let of = LIST.iter().filter(|listed| listed.service == service);
    let mut attributes: Vec<_> = of.map(|listed| listed.attributes).collect();
    attributes.dedup();
    attributes
}

/// `EU-Fargate-GB-Hours` is of `Fargate-GB-Hours`, and `EU-Fargate-ARM-GB-Hours` is not.
fn find<'o>(offers: &'o [Offer], usage: &str) -> Option<&'o Offer> {
    offers.iter().filter(|offer| offer.dollars > 0.0).find(|offer| {
        let before = offer.usage.strip_suffix(usage);
        before.is_some_and(|before| before.is_empty() || is_region(before))
    })
}

/// What stands before a usage type outside of us-east-1: `EU-`, `EUW2-`.
fn is_region(before: &str) -> bool {
    let code = before.strip_suffix('-').unwrap_or_default();
    let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (2..=5).contains(&code.len()) && code.bytes().all(is_code)
}

fn price(region: &str, listed: &Listed, offer: &Offer) -> Price {
    Price {
        region: region.to_owned(),
        what: listed.item.key().to_owned(),
        dollars: offer.dollars * listed.times,
        date: offer.since.get(..10).unwrap_or(&offer.since).to_owned(),
        source: format!("AWS price list, {} {}", listed.service, offer.usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_found_by_the_end_of_its_usage() {
        let offer = |usage: &str, dollars: f64| Offer {
            usage: usage.to_owned(),
            dollars,
            ..Offer::default()
        };
        let offers = [
            offer("EU-Fargate-Windows-vCPU-Hours:perCPU", 9.0),
            offer("EU-Fargate-vCPU-Hours:perCPU", 0.04),
            offer("Requests-Tier1", 0.0),
            offer("Requests-Tier1", 0.4e-6),
            offer("EUW2-SPOT-Requests-Tier2", 1.0),
        ];
        let dollars = |usage: &str| find(&offers, usage).map(|offer| offer.dollars);
        assert_eq!(dollars("Fargate-vCPU-Hours:perCPU"), Some(0.04));
        assert_eq!(dollars("Requests-Tier1"), Some(0.4e-6));
        assert_eq!(dollars("Requests-Tier2"), None);
    }
}

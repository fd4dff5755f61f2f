//! What AWS asks, by region: a dated table in the repository (`prices.toml`), over which a newer one may be laid. A price that is not known is
//! not known: nobody guesses it. `cost.rs` multiplies.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The table that comes along.
const TABLE: &str = include_str!("prices.toml");
const SOUND: &str = "a test reads prices.toml";

/// Declares what has a price: its name in the table, and what it is called.
macro_rules! priced {
    ($($variant:ident $key:literal $text:literal)*) => {
        /// What has a price, and by which unit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Item {
            $(#[doc = $text] $variant,)*
        }

        impl Item {
            pub const ALL: &[Item] = &[$(Item::$variant),*];

            /// As the table has it.
            pub fn key(self) -> &'static str {
                match self { $(Item::$variant => $key),* }
            }

            /// For people.
            pub fn text(self) -> &'static str {
                match self { $(Item::$variant => $text),* }
            }

            pub fn named(key: &str) -> Option<Item> {
                Item::ALL.iter().copied().find(|item| item.key() == key)
            }
        }
    };
}

priced! {
    VcpuHour "fargate_vcpu_hour" "Fargate, x86, a vCPU for an hour"
    GbHour "fargate_gb_hour" "Fargate, x86, a GB of memory for an hour"
    ArmVcpuHour "fargate_arm_vcpu_hour" "Fargate, ARM, a vCPU for an hour"
    ArmGbHour "fargate_arm_gb_hour" "Fargate, ARM, a GB of memory for an hour"
    EphemeralGbHour "ephemeral_gb_hour" "Fargate, a GB of disk beyond 20 for an hour"
    PublicIpv4Hour "public_ipv4_hour" "a public IPv4 address for an hour"
    NatGatewayHour "nat_gateway_hour" "a NAT gateway for an hour"
    EndpointHour "endpoint_hour" "an interface endpoint in a zone for an hour"
    AlarmMonth "alarm_month" "a CloudWatch alarm for a month"
    LogGb "log_gb" "CloudWatch Logs, a GB taken in"
    LogGbMonth "log_gb_month" "CloudWatch Logs, a GB kept for a month"
    SqsMillion "sqs_million" "SQS, a million requests"
    S3PutThousand "s3_put_thousand" "S3, a thousand writes or listings"
    S3GetThousand "s3_get_thousand" "S3, a thousand reads"
    S3GbMonth "s3_gb_month" "S3, a GB kept for a month"
    TransitionThousand "transition_thousand" "Step Functions, a thousand transitions"
    ScheduleMillion "schedule_million" "EventBridge Scheduler, a million starts"
    ImageGbMonth "image_gb_month" "ECR, a GB of images kept for a month"
    SpotShare "spot_share" "Spot, as a share of the price on demand"
}

/// A price, and who says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// Dollars; of `SpotShare` a share.
    pub usd: f64,
    /// `2026-10-06`
    pub date: String,
    pub source: String,
}

/// Prices of all regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    everywhere: BTreeMap<Item, Price>,
    regions: BTreeMap<String, BTreeMap<Item, Price>>,
}

/// Prices of one region.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    everywhere: &'a BTreeMap<Item, Price>,
    own: &'a BTreeMap<Item, Price>,
}

impl Prices {
    /// The table that comes along with this version.
    pub fn embedded() -> Prices {
        let root = DeTable::parse(TABLE).expect(SOUND).into_inner();
        let of = |name: &str| root[name].get_ref().as_table().expect(SOUND);
        let sources = of("source");
        let regions = of("region").iter();
        Prices {
            everywhere: read(of("everywhere"), sources),
            regions: regions
                .map(|(name, of)| {
                    let own = of.get_ref().as_table().expect(SOUND);
                    (name.get_ref().to_string(), read(own, sources))
                })
                .collect(),
        }
    }

    /// Lays a newer price over what is there.
    pub fn lay_over(&mut self, region: &str, item: Item, price: Price) {
        self.regions.entry(region.to_owned()).or_default().insert(item, price);
    }

    /// `None`: nothing is known of it.
    pub fn region(&self, name: &str) -> Option<Region<'_>> {
        let own = self.regions.get(name)?;
        Some(Region {
            everywhere: &self.everywhere,
            own,
        })
    }

    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.keys().map(String::as_str)
    }
}

impl<'a> Region<'a> {
    pub fn price(&self, item: Item) -> Option<&'a Price> {
        self.own.get(&item).or_else(|| self.everywhere.get(&item))
    }

    pub fn usd(&self, item: Item) -> Option<f64> {
        self.price(item).map(|price| price.usd)
    }

    /// Of when the oldest of these prices is.
    pub fn oldest(&self, items: &[Item]) -> Option<&'a str> {
        let dates = items.iter().filter_map(|item| self.price(*item));
        dates.map(|price| price.date.as_str()).min()
    }

    /// All that is known, in the order of [`Item::ALL`].
    pub fn all(&self) -> impl Iterator<Item = (Item, &'a Price)> {
        let this = *self;
        Item::ALL
            .iter()
            .filter_map(move |item| Some((*item, this.price(*item)?)))
    }

    /// What is not known of it.
    pub fn unknown(&self) -> Vec<Item> {
        let known: BTreeSet<Item> = self.all().map(|(item, _)| item).collect();
        Item::ALL.iter().copied().filter(|item| !known.contains(item)).collect()
    }
}

/// The prices of a table of `prices.toml`.
fn read(table: &DeTable<'_>, sources: &DeTable<'_>) -> BTreeMap<Item, Price> {
    let price = |(key, of): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let of = of.get_ref().as_table().expect(SOUND);
        let source = text(of, "by");
        let source = sources[source.as_str()].get_ref().as_table().expect(SOUND);
        let usd = of["usd"].get_ref().as_float().expect(SOUND);
        let price = Price {
            usd: usd.as_str().parse().expect(SOUND),
            date: text(source, "date"),
            source: text(source, "text"),
        };
        (Item::named(key.get_ref()).expect(SOUND), price)
    };
    table.iter().map(price).collect()
}

fn text(table: &DeTable<'_>, key: &str) -> String {
    table[key].get_ref().as_str().expect(SOUND).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_price_has_a_source_and_a_date_and_arm_is_cheaper() {
        let prices = Prices::embedded();
        assert!(prices.regions().count() >= 5);
        for name in prices.regions() {
            let region = prices.region(name).expect("listed");
            for (item, price) in region.all() {
                assert!(price.usd > 0.0, "{name}: {}", item.key());
                assert!(
                    price.date.len() == 10 && !price.source.is_empty(),
                    "{name}: {}",
                    item.key()
                );
            }
            for (arm, x86) in [(Item::ArmVcpuHour, Item::VcpuHour), (Item::ArmGbHour, Item::GbHour)] {
                let share = region.usd(arm).expect("known") / region.usd(x86).expect("known");
                assert!((0.79..0.82).contains(&share), "{name}: {share}");
            }
        }
        assert!(prices.region("xx-south-1").is_none());
    }

    #[test]
    fn a_newer_price_is_laid_over() {
        let mut prices = Prices::embedded();
        let newer = Price {
            usd: 0.05,
            date: "2027-01-01".to_owned(),
            source: "the price list".to_owned(),
        };
        prices.lay_over("eu-west-2", Item::VcpuHour, newer.clone());
        prices.lay_over("xx-south-1", Item::VcpuHour, newer);
        let usd = |region| prices.region(region).and_then(|of| of.usd(Item::VcpuHour));
        assert_eq!((usd("eu-west-2"), usd("xx-south-1")), (Some(0.05), Some(0.05)));
        let new = prices.region("xx-south-1").expect("laid");
        assert!(new.unknown().contains(&Item::GbHour) && new.usd(Item::SpotShare).is_some());
    }
}

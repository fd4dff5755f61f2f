//! The prices of today: the table that comes along, and over it what `kingtide prices update` has read.

use std::path::PathBuf;

use kingtide_core::cloud::prices::{Item, Price, Prices};
use kingtide_remote::wire;
use serde_json::{Value, json};

use crate::exit::{Failure, Outcome};
use crate::project::cache_folder;

fn path() -> PathBuf {
    cache_folder().join("kingtide").join("prices.json")
}

/// What is known now. A file of the cache that cannot be read is as good as none.
pub(crate) fn load() -> Prices {
    let mut prices = Prices::embedded();
    let newer = std::fs::read(path())
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    for (region, item, price) in newer.iter().flat_map(read) {
        prices.lay_over(&region, item, price);
    }
    prices
}

fn read(document: &Value) -> Vec<(String, Item, Price)> {
    let lines = document.as_array().into_iter().flatten();
    lines
        .filter_map(|line| {
            let text = |key: &str| line[key].as_str().map(str::to_owned);
            let price = Price {
                usd: line["usd"].as_f64().filter(|usd| *usd > 0.0)?,
                date: text("date")?,
                source: text("source")?,
            };
            Some((text("region")?, Item::named(&text("item")?)?, price))
        })
        .collect()
}

/// Keeps what was read, in place of what was read before.
pub(crate) fn keep(prices: &[wire::Price]) -> Outcome<()> {
    let known = prices.iter().filter(|price| Item::named(&price.what).is_some());
    let lines = known.map(|price| {
        json!({
            "region": price.region,
            "item": price.what,
            "usd": price.dollars,
            "date": price.date,
            "source": price.source,
        })
    });
    let document = Value::Array(lines.collect()).to_string();
    let path = path();
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        // Whoever reads it meanwhile has the old one.
        let new = path.with_extension("new");
        std::fs::write(&new, document)?;
        std::fs::rename(&new, &path)
    };
    write().map_err(|error| Failure::new(format!("failed to write `{}`", path.display())).because(error))
}

/// `$2.91`, and where it is less than a cent, as much of it as there is.
pub(crate) fn dollars(usd: f64) -> String {
    match usd {
        0.0 => "$0.00".to_owned(),
        usd if usd < 0.000_05 => "less than $0.0001".to_owned(),
        usd if usd < 0.01 => format!("${usd:.4}"),
        usd => format!("${usd:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_have_cents_and_cents_are_not_lost() {
        assert_eq!(
            [0.0, 0.000_01, 0.0031, 0.2, 2.908, 1234.5].map(dollars),
            ["$0.00", "less than $0.0001", "$0.0031", "$0.20", "$2.91", "$1234.50"]
        );
    }

    #[test]
    fn what_was_read_is_laid_over_and_nonsense_is_passed_over() {
        let document = json!([
            { "region": "eu-west-1", "item": "fargate_vcpu_hour", "usd": 0.05, "date": "2027-01-01", "source": "list" },
            { "region": "eu-west-1", "item": "moon_dust", "usd": 1.0, "date": "2027-01-01", "source": "list" },
            { "region": "eu-west-1", "item": "fargate_gb_hour", "usd": -1.0, "date": "2027-01-01", "source": "list" },
            7,
        ]);
        let read = read(&document);
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].1, read[0].2.usd), (Item::VcpuHour, 0.05));
    }
}

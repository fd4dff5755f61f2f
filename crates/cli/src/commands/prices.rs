//! `prices`: what quotes are made of, with dates and sources; and a newer table, from AWS's price list.

use std::collections::BTreeSet;
use std::io::Write;

use kingtide_core::cloud::prices::{Item, Prices as Table};
use kingtide_remote::wire::{Ask, Event, Target};
use serde_json::json;

use crate::args::{Prices, PricesVerb};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text::plural;
use crate::output::{self, json};
use crate::project::Place;
use crate::remote::session::Session;
use crate::remote::tariff;
use crate::settings::Settings;

pub(crate) fn run(prices: &Prices, settings: &Settings) -> Outcome {
    let region = prices.region.clone().or_else(|| of_project(settings));
    match prices.verb {
        Some(PricesVerb::Update) => update(region, settings),
        None => print(region, settings),
    }
}

/// The region of the project that is here, if any is.
fn of_project(settings: &Settings) -> Option<String> {
    Place::find(settings).ok()?.peek()?.aws.region
}

fn print(region: Option<String>, settings: &Settings) -> Outcome {
    let table = tariff::load();
    let regions: Vec<String> = match region {
        Some(region) => vec![region],
        None => table.regions().map(str::to_owned).collect(),
    };
    let mut out = output::data();
    for (number, name) in regions.iter().enumerate() {
        let Some(region) = table.region(name) else {
            return Err(unknown(name, &table));
        };
        if settings.json {
            for (item, price) in region.all() {
                let line = json!({
                    "region": name, "item": item.key(), "usd": price.usd, "date": price.date, "source": price.source,
                });
                json::line(&mut out, &line)?;
            }
            continue;
        }
        if number > 0 {
            writeln!(out)?;
        }
        let mut sources: Vec<&str> = Vec::new();
        writeln!(out, "{}", settings.out.bold(name))?;
        for (item, price) in region.all() {
            let known = sources.iter().position(|source| *source == price.source);
            let source = known.unwrap_or_else(|| {
                sources.push(&price.source);
                sources.len() - 1
            });
            let amount = match item {
                Item::SpotShare => format!("{:.0} %", price.usd * 100.0),
                _ => format!("${}", price.usd),
            };
            writeln!(
                out,
                "  {amount:>10}  {:<48} {} {}",
                item.text(),
                settings.out.dim(&price.date),
                settings.out.dim(&format!("[{}]", source + 1))
            )?;
        }
        for item in region.unknown() {
            writeln!(out, "  {:>10}  {}", settings.out.yellow("unknown"), item.text())?;
        }
        for (number, source) in sources.iter().enumerate() {
            writeln!(out, "  {}", settings.out.dim(&format!("[{}] {source}", number + 1)))?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// A region of which nothing is known.
pub(crate) fn unknown(region: &str, table: &Table) -> Failure {
    let known: Vec<&str> = table.regions().collect();
    Failure::usage(format!("no price of the region `{region}` is known")).help(format!(
        "`kingtide prices update --region {region}` reads AWS's price list; known are {}",
        known.join(", ")
    ))
}

fn update(region: Option<String>, settings: &Settings) -> Outcome {
    let mut regions: BTreeSet<String> = tariff::load().regions().map(str::to_owned).collect();
    regions.extend(region.clone());
    let mut session = Session::open(Target {
        region,
        stack: String::new(),
    })?;
    let mut read = Vec::new();
    let ask = Ask::Prices {
        regions: regions.into_iter().collect(),
    };
    session.ask(ask, |event| {
        if let Event::Price(price) = event {
            read.push(price);
        }
        Ok(())
    })?;
    if read.is_empty() {
        return Err(Failure::new("AWS's price list has said nothing that is known here"));
    }
    tariff::keep(&read)?;
    let regions: BTreeSet<&str> = read.iter().map(|price| price.region.as_str()).collect();
    if !settings.quiet {
        output::say(&format!(
            "{} of {} are kept",
            plural(read.len() as u64, "price"),
            plural(regions.len() as u64, "region")
        ));
    }
    Ok(Exit::Done)
}

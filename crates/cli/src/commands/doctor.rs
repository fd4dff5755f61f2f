//! `doctor`: this machine and this project, as Kingtide sees them; what is missing, and what to do about it.

mod remote;

use std::io::Write;
use std::path::Path;

use kingtide_exec::memory::Means;
use kingtide_runtime::layout::Layout;
use kingtide_runtime::machine::{Asked, Machine, facts};
use kingtide_runtime::view::{self, Database, Lease};
use serde_json::{Value, json};

use crate::args::Doctor;
use crate::exit::{Exit, Outcome};
use crate::output::json::line;
use crate::output::text::bytes;
use crate::output::{self, style::Style};
use crate::project::{Checked, Needs, Place, tally};
use crate::settings::Settings;

/// How well something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// Works, and could be better.
    Fair,
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
struct Point {
    health: Health,
    name: &'static str,
    words: String,
    help: Option<String>,
}

impl Point {
    fn good(name: &'static str, words: impl Into<String>) -> Point {
        Point {
            health: Health::Good,
            name,
            words: words.into(),
            help: None,
        }
    }

    fn fair(name: &'static str, words: impl Into<String>, help: impl Into<String>) -> Point {
        Point {
            health: Health::Fair,
            name,
            words: words.into(),
            help: Some(help.into()),
        }
    }

    fn bad(name: &'static str, words: impl Into<String>, help: impl Into<String>) -> Point {
        Point {
            health: Health::Bad,
            ..Point::fair(name, words, help)
        }
    }

    fn render(&self, style: Style) -> String {
        let mark = match self.health {
            Health::Good => style.green("✓"),
            Health::Fair => style.yellow("!"),
            Health::Bad => style.red("✗"),
        };
        let help = self
            .help
            .as_ref()
            .map(|help| format!("\n  {:<14} {} {help}", "", style.cyan("help:")));
        format!(
            "{mark} {} {}{}",
            style.dim(&format!("{:<14}", self.name)),
            self.words,
            help.unwrap_or_default()
        )
    }

    fn json(&self) -> Value {
        let health = match self.health {
            Health::Good => "good",
            Health::Fair => "fair",
            Health::Bad => "bad",
        };
        json!({ "name": self.name, "health": health, "words": self.words, "help": self.help })
    }
}

pub(crate) fn run(doctor: &Doctor, settings: &Settings) -> Outcome {
    if doctor.place.is_aws() {
        return remote::run(doctor, settings);
    }
    let place = Place::find(settings).ok();
    let mut points = of_machine(place.as_ref().map_or(Path::new("."), |place| &place.folder));
    points.extend(match &place {
        Some(place) => of_project(place),
        None => vec![Point::fair(
            "project",
            "none here or in a folder above",
            "`kingtide init` makes one",
        )],
    });
    let mut out = output::data();
    for point in &points {
        match settings.json {
            true => line(&mut out, &point.json())?,
            false => writeln!(out, "{}", point.render(settings.out))?,
        }
    }
    out.flush()?;
    let is_bad = points.iter().any(|point| point.health == Health::Bad);
    Ok(if is_bad { Exit::Ours } else { Exit::Done })
}

/// What the machine itself has to say, of the folder that a project is or would be in.
fn of_machine(folder: &Path) -> Vec<Point> {
    let kingtide = format!("{} on {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let mut points = vec![Point::good("kingtide", kingtide)];
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let facts = facts(&Asked {
        project: folder,
        machine: &Machine::read(),
        cgroup: Some(Means::detect("doctor").name()),
        search_path: &search_path,
    });
    points.extend(facts.into_iter().map(|fact| Point {
        health: match (fact.ok, &fact.advice) {
            (false, _) => Health::Bad,
            (true, Some(_)) => Health::Fair,
            (true, None) => Health::Good,
        },
        name: fact.name,
        words: fact.value,
        help: fact.advice,
    }));
    points
}

fn of_project(place: &Place) -> Vec<Point> {
    let shown = place.file.display();
    let has = |tally: String| format!("{shown} has {tally}");
    let see = "`kingtide check` shows them";
    let project = match Checked::read(place, Needs::All) {
        Ok(checked) if checked.findings.has_errors() => Point::bad("project", has(tally(&checked.findings)), see),
        Ok(checked) if !checked.findings.0.is_empty() => Point::fair("project", has(tally(&checked.findings)), see),
        Ok(_) => Point::good("project", shown.to_string()),
        Err(_) => Point::bad("project", format!("{shown} cannot be read"), "check its permissions"),
    };
    let database = match Database::open(&place.folder) {
        Ok(database) => of_database(&database, &place.folder),
        Err(view::OpenError::Missing) => Point::good("database", "nothing has run here yet"),
        Err(error) => Point::bad("database", error.to_string(), error.help()),
    };
    vec![project, database]
}

fn of_database(database: &Database, folder: &Path) -> Point {
    let size = std::fs::metadata(Layout::new(folder).database()).map_or(0, |metadata| metadata.len());
    let held = database
        .snapshot()
        .and_then(|snapshot| snapshot.lease())
        .ok()
        .flatten()
        .filter(Lease::is_held);
    match held {
        Some(lease) => Point::good("database", format!("{}, written by process {}", bytes(size), lease.pid)),
        None => Point::good("database", format!("{}, nobody is running", bytes(size))),
    }
}

//! `doctor`: this machine and this project, as Kingtide sees them; what is missing, and what to do about it.

use std::io::Write;
use std::path::Path;

use kingtide_runtime::view::{self, Database, Lease, place};
use serde_json::{Value, json};

use crate::exit::{Exit, Outcome};
use crate::output::json::line;
use crate::output::text::bytes;
use crate::output::{self, style::Style};
use crate::project::{Checked, Place, tally};
use crate::settings::Settings;
use kingtide_runtime::machine::Machine;

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
            .map(|help| format!("\n  {:<10} {} {help}", "", style.cyan("help:")));
        format!(
            "{mark} {} {}{}",
            style.dim(&format!("{:<10}", self.name)),
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

pub(crate) fn run(settings: &Settings) -> Outcome {
    let mut points = of_machine();
    match Place::find(settings) {
        Ok(place) => points.extend(of_project(&place)),
        Err(_) => points.push(Point::fair(
            "project",
            "none here or in a folder above",
            "`kingtide init` makes one",
        )),
    }
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

/// The seam for the facts of `kingtide_runtime::machine`.
fn of_machine() -> Vec<Point> {
    let here = Machine::read();
    let mut points = vec![
        Point::good(
            "kingtide",
            format!("{} on {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH),
        ),
        Point::good("processors", (here.cpu_milli / 1000).to_string()),
        Point::good("memory", bytes(here.memory)),
    ];
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&search_path).any(|folder| folder.join(program).is_file());
    points.push(match (has("uv"), has("python3")) {
        (true, _) => Point::good("python", "environments are made by uv"),
        (false, true) => Point::fair(
            "python",
            "environments are made by venv and pip",
            "with `uv` they are made faster",
        ),
        (false, false) => Point::fair(
            "python",
            "there is no `uv` and no `python3`",
            "install one of them for jobs that say `python = …`",
        ),
    });
    points
}

fn of_project(place: &Place) -> Vec<Point> {
    let shown = place.file.display();
    let mut points = Vec::new();
    match Checked::read(place) {
        Ok(checked) if checked.findings.has_errors() => {
            let words = format!("{shown} has {}", tally(&checked.findings));
            points.push(Point::bad("project", words, "`kingtide check` shows them"));
        }
        Ok(checked) if !checked.findings.0.is_empty() => {
            let words = format!("{shown} has {}", tally(&checked.findings));
            points.push(Point::fair("project", words, "`kingtide check` shows them"));
        }
        Ok(_) => points.push(Point::good("project", shown.to_string())),
        Err(_) => points.push(Point::bad(
            "project",
            format!("{shown} cannot be read"),
            "check its permissions",
        )),
    }
    points.push(writable(&place.folder));
    points.push(match Database::open(&place.folder) {
        Ok(database) => of_database(&database, &place.folder),
        Err(view::OpenError::Missing) => Point::good("database", "nothing has run here yet"),
        Err(error) => Point::bad("database", error.to_string(), error.help()),
    });
    points
}

fn writable(folder: &Path) -> Point {
    let kept = place::kept(folder);
    let at = if kept.is_dir() { &kept } else { folder };
    if rustix::fs::access(at, rustix::fs::Access::WRITE_OK).is_err() {
        let words = format!("{} is not writable", at.display());
        return Point::bad(
            "folder",
            words,
            "runs are recorded there: make it writable, or copy the project",
        );
    }
    match rustix::fs::statvfs(at) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let words = format!("{} is writable, {} free", at.display(), bytes(free));
            if free < 100 << 20 {
                return Point::fair("folder", words, "`kingtide clean` removes what old runs left");
            }
            Point::good("folder", words)
        }
        Err(_) => Point::good("folder", format!("{} is writable", at.display())),
    }
}

fn of_database(database: &Database, folder: &Path) -> Point {
    let size = std::fs::metadata(place::database(folder)).map_or(0, |metadata| metadata.len());
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

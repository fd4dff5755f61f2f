//! `cargo xtask check`: everything that must hold before a change is merged. Suites run one after the other, all of them even
//! when one has failed, each stopped when it goes beyond its budget; a table at the end says what each took.
//!
//! `suite.rs` runs commands under a time limit, `setup.rs` brings what tests need, `wheels.rs` and `boto.rs` Python packages, `clients.rs` clients of the queues, `engine.rs` a container engine, `licences.rs` (with `spdx.rs` and
//! `graph.rs`) judges dependencies, `generated.rs` compares the files that come from the binary. House rules are ordinary
//! tests, in `xtask/tests/tidy`.

mod boto;
mod clients;
mod engine;
mod generated;
mod graph;
mod installed;
mod licences;
mod setup;
mod spdx;
mod suite;
mod wheels;

use std::time::{Duration, Instant};

use anyhow::bail;

use suite::{Deadline, Outcome, Tool};

/// What a suite does, within its deadline.
type Work = fn(&Deadline) -> anyhow::Result<()>;

/// One row of the table.
struct Suite {
    name: &'static str,
    /// Seconds on two cores, from nothing; the suite is stopped there.
    budget_s: u64,
    work: Work,
}

/// All suites together stay below this, on two cores.
#[cfg(test)]
const TOTAL_BUDGET_S: u64 = 60 * 60;

const SUITES: &[Suite] = &[
    Suite {
        name: "set-up",
        budget_s: 700,
        work: setup::run,
    },
    Suite {
        name: "fmt",
        budget_s: 30,
        work: |limit| Tool::cargo("fmt --all --check").run(limit),
    },
    Suite {
        name: "clippy",
        budget_s: 420,
        work: |limit| Tool::cargo("clippy --workspace --all-targets --locked -- -D warnings").run(limit),
    },
    Suite {
        name: "licences",
        budget_s: 60,
        work: licences::run,
    },
    // Both suites build the same set of packages, so that features agree and nothing is built twice.
    Suite {
        name: "tests",
        budget_s: 1500,
        work: |limit| {
            let engine = engine::start(limit);
            let tests = Tool::cargo("nextest run --workspace --locked --profile check -E")
                .env(wheels::VARIABLE, wheels::folder())
                .env(boto::VARIABLE, boto::folder())
                .env(clients::VARIABLE, clients::folder())
                .arg("not binary_id(xtask::tidy)");
            match &engine {
                Some(engine) => tests.env(engine::VARIABLE, engine.host()).run(limit),
                None => tests.run(limit),
            }
        },
    },
    Suite {
        name: "house-rules",
        budget_s: 120,
        work: |limit| {
            Tool::cargo("nextest run --workspace --locked --profile check -E")
                .env(wheels::VARIABLE, wheels::folder())
                .env(boto::VARIABLE, boto::folder())
                .env(clients::VARIABLE, clients::folder())
                .arg("binary_id(xtask::tidy)")
                .run(limit)
        },
    },
    Suite {
        name: "doctests",
        budget_s: 240,
        work: |limit| Tool::cargo("test --doc --workspace --locked --quiet").run(limit),
    },
    Suite {
        name: "generated",
        budget_s: 180,
        work: generated::check,
    },
];

/// Only on request: it builds everything again, from an empty folder.
const RELEASE_BUILD: Suite = Suite {
    name: "release-build",
    budget_s: 300,
    work: release_build,
};

/// `cargo xtask check [--only SUITE]... [--release-budget]`.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let suites = chosen(args)?;
    let mut outcomes = Vec::new();
    for suite in suites {
        println!("\n── {} ──", suite.name);
        let started = Instant::now();
        let limit = Deadline::after(Duration::from_secs(suite.budget_s));
        let failure = (suite.work)(&limit).err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            println!("{}: {failure}", suite.name);
        }
        outcomes.push(Outcome {
            suite: suite.name,
            budget_s: suite.budget_s,
            took: started.elapsed(),
            failure,
        });
    }
    println!("\n{}", suite::table(&outcomes));
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.failure.is_some())
        .map(|outcome| outcome.suite)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// `cargo xtask generate`.
pub(crate) fn generate(args: &[String]) -> anyhow::Result<()> {
    if let Some(extra) = args.first() {
        bail!("`generate` takes no arguments, but was given `{extra}`");
    }
    generated::write(&Deadline::after(Duration::from_secs(600)))
}

fn chosen(args: &[String]) -> anyhow::Result<Vec<&'static Suite>> {
    let mut only: Vec<&str> = Vec::new();
    let mut release = false;
    let mut rest = args.iter();
    while let Some(argument) = rest.next() {
        match (argument.as_str(), argument.strip_prefix("--only=")) {
            (_, Some(name)) => only.push(name),
            ("--only", None) => match rest.next() {
                Some(name) => only.push(name),
                None => bail!("`--only` needs the name of a suite: {}", names()),
            },
            ("--release-budget", None) => release = true,
            (other, None) => bail!("`check` knows no `{other}`; it takes `--only SUITE` and `--release-budget`"),
        }
    }
    if let Some(unknown) = only
        .iter()
        .find(|name| !SUITES.iter().any(|suite| suite.name == **name))
    {
        bail!("no suite is called `{unknown}`; there are: {}", names());
    }
    let mut suites: Vec<&'static Suite> = Vec::new();
    suites.extend(
        SUITES
            .iter()
            .filter(|suite| only.is_empty() || only.contains(&suite.name)),
    );
    if release {
        suites.push(&RELEASE_BUILD);
    }
    Ok(suites)
}

fn names() -> String {
    SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ")
}

fn release_build(limit: &Deadline) -> anyhow::Result<()> {
    let folder = setup::target_folder(limit)?.join("release-budget");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let built = Tool::cargo("build --release --locked")
        .env("CARGO_TARGET_DIR", &folder)
        .run(limit);
    std::fs::remove_dir_all(&folder)?;
    built
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(args: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let args: Vec<String> = args.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(chosen(&args)?.iter().map(|suite| suite.name).collect())
    }

    #[test]
    fn all_budgets_together_stay_below_an_hour() {
        let total: u64 = SUITES.iter().chain([&RELEASE_BUILD]).map(|suite| suite.budget_s).sum();
        assert!(total <= TOTAL_BUDGET_S, "{total} s");
    }

    #[test]
    fn suites_are_chosen_by_name() {
        assert_eq!(names_of(&[]).expect("all").len(), SUITES.len());
        assert_eq!(
            names_of(&["--only", "fmt", "--only=licences"]).expect("two"),
            ["fmt", "licences"]
        );
        assert_eq!(
            names_of(&["--only", "fmt", "--release-budget"]).expect("two"),
            ["fmt", "release-build"]
        );
        assert!(names_of(&["--only", "nothing"]).is_err());
        assert!(names_of(&["--only"]).is_err());
        assert!(names_of(&["--fast"]).is_err());
    }
}

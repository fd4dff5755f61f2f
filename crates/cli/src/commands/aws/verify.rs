//! A tiny project, deployed, run and removed again by this very executable; each claim is judged by what its commands say.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kingtide_core::cloud::cost::{self, Used, Worker};
use kingtide_core::cloud::fargate::Size;
use kingtide_core::project::aws::Architecture;
use serde_json::{Value as Json, json};

use super::checks::{CHECKS, Check};
use crate::args::Verify;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, json};
use crate::remote::consent;
use crate::remote::tariff::{self, dollars};
use crate::settings::Settings;

/// One is skipped, one fails once, one leaves a file behind; the others only take a little.
const PROJECT: &str = r#"[project]
name = "kingtide-verify"

[job.probe]
image = "public.ecr.aws/docker/library/busybox:1.37"
command = ["sh", "-c", """
echo "probe {n}"
case {n} in
  1) exit 3 ;;
  2) [ "$KINGTIDE_ATTEMPT" = 1 ] && exit 1 ;;
  3) echo "left behind" > "$KINGTIDE_OUTPUT/file" ;;
esac
sleep 20
echo '{{"n": {n}}}' > "$KINGTIDE_RESULT"
"""]
cpu = 0.25
memory = "256MiB"
retries = 2
on_exit = { 3 = "skip" }
expected = "30s"
max_workers = 4
params = { matrix = { n = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] } }
"#;
const TASKS: u64 = 12;
const WORKERS: usize = 4;
/// What a burst of this size may cost.
const MOST_USD: f64 = 0.10;
const LATEST_START_S: f64 = 180.0;
const APART_S: f64 = 60.0;

pub(super) fn run(verify: &Verify, settings: &Settings) -> Outcome {
    let region = verify.region.clone().or_else(|| {
        let named = |name| std::env::var(name).ok().filter(|region: &String| !region.is_empty());
        named("AWS_REGION").or_else(|| named("AWS_DEFAULT_REGION"))
    });
    let usd = estimate(region.as_deref());
    if verify.list {
        return list(usd, settings);
    }
    let said = usd.map_or_else(|| "a few cents".to_owned(), |usd| format!("about {}", dollars(usd)));
    output::say(&format!(
        "deploys the stack `kingtide-verify` in {}, runs {TASKS} tasks of half a minute on {WORKERS} workers, and removes it again: {said}, ten minutes",
        region.as_deref().unwrap_or("the profile's region")
    ));
    consent::ask("do that?", verify.yes, "kingtide aws verify --yes")?;
    let bench = Bench::new(region.as_deref())?;
    let mut verdicts = Verdicts::default();
    bench.try_all(&mut verdicts, settings);
    if verify.keep {
        output::say(&format!(
            "the stack is left there: `kingtide destroy --with-data --project {}` removes it",
            bench.folder.display()
        ));
    } else {
        bench.destroy(&mut verdicts);
        bench.forget();
    }
    verdicts.print(settings)
}

fn estimate(region: Option<&str>) -> Option<f64> {
    let prices = tariff::load();
    let prices = prices.region(region.unwrap_or("us-east-1"))?;
    let used = Used {
        worker: Worker {
            size: Size {
                cpu: 256,
                memory_mib: 512,
            },
            architecture: Architecture::X86_64,
            is_spot: false,
            has_public_ip: true,
            disk_gib: 20.0,
        },
        seconds: vec![180.0; WORKERS],
        dispatcher_seconds: 300.0,
        tasks: TASKS,
        log_bytes: 100_000,
    };
    Some(cost::run(&used, &prices).sum())
}

fn list(usd: Option<f64>, settings: &Settings) -> Outcome {
    let mut out = output::data();
    for check in CHECKS {
        if settings.json {
            let line = json!({ "check": check.name, "claim": check.claim, "how": check.how, "by_hand": check.by_hand });
            json::line(&mut out, &line)?;
            continue;
        }
        let hand = if check.by_hand { " (by hand)" } else { "" };
        writeln!(out, "{:<14} {}{hand}", settings.out.bold(check.name), check.claim)?;
        writeln!(out, "{:<14} {}", "", settings.out.dim(check.how))?;
    }
    if let Some(usd) = usd
        && !settings.json
    {
        writeln!(out, "all that are not by hand: about {}", dollars(usd))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// How each claim came out.
#[derive(Default)]
struct Verdicts(Vec<(&'static Check, Result<String, String>)>);

impl Verdicts {
    fn note(&mut self, name: &str, verdict: Result<String, String>) {
        if let Some(check) = CHECKS.iter().find(|check| check.name == name) {
            self.0.push((check, verdict));
        }
    }

    fn print(&self, settings: &Settings) -> Outcome {
        let mut out = output::data();
        for check in CHECKS.iter().filter(|check| !check.by_hand) {
            let verdict = self
                .0
                .iter()
                .find(|(of, _)| of.name == check.name)
                .map(|(_, verdict)| verdict);
            let (word, mark, text) = match verdict {
                Some(Ok(text)) => ("holds", settings.out.green("✓"), text.as_str()),
                Some(Err(text)) => ("does-not-hold", settings.out.red("✗"), text.as_str()),
                None => ("not-seen", settings.out.yellow("?"), "was not come to"),
            };
            match settings.json {
                true => json::line(&mut out, &json!({ "check": check.name, "verdict": word, "text": text }))?,
                false => writeln!(out, "{mark} {:<14} {}: {text}", check.name, check.claim)?,
            }
        }
        out.flush()?;
        let all = CHECKS.iter().filter(|check| !check.by_hand).count();
        let hold = self.0.iter().filter(|(_, verdict)| verdict.is_ok()).count();
        Ok(if hold == all { Exit::Done } else { Exit::Failed })
    }
}

/// The tiny project, and this executable to try it with.
struct Bench {
    folder: PathBuf,
    executable: PathBuf,
}

impl Bench {
    fn new(region: Option<&str>) -> Outcome<Bench> {
        let folder = std::env::temp_dir().join(format!("kingtide-verify-{}", std::process::id()));
        // Nobody else's, and not one that was put there: what is in it is deployed.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| Failure::new(format!("failed to make `{}`", folder.display())).because(error))?;
        let region = region.map_or_else(String::new, |region| format!("\n[aws]\nregion = \"{region}\"\n"));
        std::fs::write(folder.join("kingtide.toml"), format!("{PROJECT}{region}"))?;
        Ok(Bench {
            folder,
            executable: std::env::current_exe()?,
        })
    }

    fn forget(&self) {
        // What is left is in the folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args(arguments)
            .arg("--project")
            .arg(&self.folder)
            .stdin(Stdio::null());
        command
    }

    /// What a command writes; what it says goes through to whoever watches.
    fn ask(&self, arguments: &[&str]) -> Result<Output, String> {
        output::say(&format!("── kingtide {}", arguments.join(" ")));
        let output = self.command(arguments).stderr(Stdio::inherit()).output();
        output.map_err(|error| format!("`kingtide {}` could not be started: {error}", arguments.join(" ")))
    }

    fn expect(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.ask(arguments)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!(
                "`kingtide {}` ended with {}",
                arguments.join(" "),
                output.status
            )),
        }
    }

    fn lines(&self, arguments: &[&str]) -> Result<Vec<Json>, String> {
        let text = self.expect(arguments)?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
            .collect()
    }

    /// Everything but the removal; what rests on something that failed is not come to.
    fn try_all(&self, verdicts: &mut Verdicts, settings: &Settings) {
        verdicts.note(
            "doctor",
            self.expect(&["doctor", "--on", "aws"])
                .map(|_| "nothing is wrong".to_owned()),
        );
        let deployed = self.expect(&["deploy", "--yes"]);
        let is_there = deployed.is_ok();
        verdicts.note("deploy", deployed.map(|_| "the stack is complete".to_owned()));
        if !is_there {
            return;
        }
        verdicts.note(
            "nothing-to-do",
            self.lines(&["diff", "--json"]).and_then(|lines| same(&lines)),
        );
        let ran = self.lines(&["run", "probe", "--on", "aws", "--json"]);
        let is_done = ran.is_ok();
        verdicts.note("run", ran.map(|_| "it ended well".to_owned()));
        if !is_done {
            return;
        }
        let rows = self.lines(&["results", "--on", "aws", "--format", "jsonl"]);
        verdicts.note("each-once", rows.clone().and_then(|rows| each_once(&rows)));
        verdicts.note("exit-codes", rows.clone().and_then(|rows| exit_codes(&rows)));
        verdicts.note("results", rows.and_then(|rows| results(&rows)));
        let outputs = self.lines(&["outputs", "--on", "aws", "--json"]);
        verdicts.note("outputs", outputs.and_then(|outputs| left_behind(&outputs)));
        let said = self.expect(&["logs", "probe", "n=4", "--on", "aws"]);
        verdicts.note(
            "logs",
            said.and_then(|said| match said.contains("probe 4") {
                true => Ok("its line is there".to_owned()),
                false => Err("its line is not there".to_owned()),
            }),
        );
        let begun = self.lines(&["status", "--on", "aws", "--json"]);
        verdicts.note(
            "start",
            begun
                .clone()
                .and_then(|lines| within(&lines, "first_start_s", LATEST_START_S)),
        );
        verdicts.note(
            "together",
            begun.and_then(|lines| within(&lines, "starts_apart_s", APART_S)),
        );
        let cost = self.lines(&["cost", "--json"]);
        verdicts.note("cost", cost.and_then(|lines| within(&lines, "usd", MOST_USD)));
        if settings.quiet {
            return;
        }
        output::say("all was looked at");
    }

    fn destroy(&self, verdicts: &mut Verdicts) {
        let gone = self.expect(&["destroy", "--with-data", "--yes"]);
        verdicts.note("destroy", gone.map(|_| "the stack is gone".to_owned()));
    }
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench")
            .field("folder", &Path::new(&self.folder))
            .finish_non_exhaustive()
    }
}

fn same(lines: &[Json]) -> Result<String, String> {
    let of = lines.first().ok_or("it has said nothing")?;
    let count = |what: &str| of[what].as_array().map_or(0, Vec::len);
    match (count("resources"), count("drift")) {
        (0, 0) => Ok("nothing differs".to_owned()),
        (resources, drift) => Err(format!("{resources} resources differ, {drift} have drifted")),
    }
}

fn row(rows: &[Json], n: i64) -> Result<&Json, String> {
    let found = rows.iter().find(|row| row["n"] == n);
    found.ok_or_else(|| format!("the task n={n} is not among the results"))
}

fn each_once(rows: &[Json]) -> Result<String, String> {
    if rows.len() as u64 != TASKS {
        return Err(format!("{} tasks, and {TASKS} were sent", rows.len()));
    }
    let more: Vec<String> = (3..=12)
        .filter(|n| row(rows, *n).is_ok_and(|row| row["attempts"] != 1))
        .map(|n| n.to_string())
        .collect();
    match more.is_empty() {
        true => Ok(format!("{TASKS} tasks, each done once")),
        false => Err(format!("the tasks {} were tried more than once", more.join(", "))),
    }
}

fn exit_codes(rows: &[Json]) -> Result<String, String> {
    let (skipped, again) = (row(rows, 1)?, row(rows, 2)?);
    match (skipped["state"].as_str(), again["attempts"].as_u64()) {
        (Some("skipped"), Some(2)) => Ok("one skipped, one tried twice".to_owned()),
        (state, attempts) => Err(format!("n=1 is {state:?}, n=2 had {attempts:?} attempts")),
    }
}

fn results(rows: &[Json]) -> Result<String, String> {
    let done = rows.iter().filter(|row| row["state"] == "succeeded").count() as u64;
    match done == TASKS - 1 {
        true => Ok(format!("{done} results")),
        false => Err(format!("{done} succeeded, and {} should have", TASKS - 1)),
    }
}

fn left_behind(outputs: &[Json]) -> Result<String, String> {
    match outputs {
        [one] if one["files"] == 1 => Ok("one folder with its file".to_owned()),
        other => Err(format!("{} folders", other.len())),
    }
}

fn within(lines: &[Json], key: &str, most: f64) -> Result<String, String> {
    let of = lines.last().ok_or("it has said nothing")?;
    match of[key].as_f64() {
        Some(value) if value <= most => Ok(format!("{value:.3}")),
        Some(value) => Err(format!("{value:.3}, and at most {most} were claimed")),
        None => Err(format!("`{key}` was not said")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_sound_and_deploys() {
        let (project, findings) = kingtide_core::project::load(PROJECT);
        assert!(!findings.has_errors(), "{findings:?}");
        let project = project.expect("no errors");
        let stack = kingtide_core::cloud::compile(&project, None);
        assert!(stack.is_ok(), "{stack:?}");
    }

    #[test]
    fn what_was_seen_is_judged() {
        let rows: Vec<Json> = (1..=12)
            .map(|n| {
                let state = if n == 1 { "skipped" } else { "succeeded" };
                json!({ "n": n, "state": state, "attempts": if n == 2 { 2 } else { 1 } })
            })
            .collect();
        assert!(each_once(&rows).is_ok() && exit_codes(&rows).is_ok() && results(&rows).is_ok());
        assert!(each_once(&rows[1..]).is_err() && exit_codes(&rows[1..]).is_err());
        let mut twice = rows;
        twice[4]["attempts"] = json!(2);
        assert!(each_once(&twice).is_err());
        assert!(within(&[json!({ "usd": 0.01 })], "usd", 0.1).is_ok());
        assert!(within(&[json!({ "usd": 0.2 })], "usd", 0.1).is_err());
        assert!(within(&[json!({})], "usd", 0.1).is_err());
    }

    #[test]
    fn it_costs_cents() {
        let usd = estimate(Some("us-east-1")).expect("priced");
        assert!((0.002..0.05).contains(&usd), "{usd}");
    }
}

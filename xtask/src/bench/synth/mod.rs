//! `synth` beside AWS CDK's patterns, for equivalent jobs: how many resources, which are always on, what they cost when nothing runs, how long
//! the template is and how long it takes to make, what cfn-lint says. `tools.rs` makes templates, `template.rs` looks at them.

mod template;
mod tools;

use super::binary::{self, Kingtide};
use super::floors;
use super::machine;
use super::options::Options;
use super::report::{Bound, Report, Target};
use super::timing::Summary;
use template::Template;
use tools::{Maker, Source, Tools};

struct Case {
    title: &'static str,
    source: Source,
}

const CASES: [Case; 3] = [
    Case {
        title: "A queue and tasks that work it off, as little as one has to say",
        source: Source {
            application: "defaults",
            project: "queue",
        },
    },
    Case {
        title: "The same, with what CDK can be told for a burst",
        source: Source {
            application: "burst",
            project: "queue",
        },
    },
    Case {
        title: "A task every Monday at six",
        source: Source {
            application: "scheduled",
            project: "scheduled",
        },
    },
];

/// What is promised of a `synth`, in milliseconds (issue of the AWS way: the largest example below that).
const PROMISED_MS: f64 = 20.0;

/// Seconds of all rounds, warm and cold.
#[derive(Default)]
struct Times {
    warm: Vec<f64>,
    cold: Vec<f64>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = binary::scratch()?;
    let load_before = machine::load();
    let kingtide = Kingtide::find(options)?;
    let tools = Tools::prepare(&kingtide, &scratch)?;
    let floors = floors::measure(&scratch)?;
    let mut report = Report::new(
        "synth",
        "What becomes of a file: the template by CDK's patterns and by Kingtide, for jobs that do the same. The files are in `bench/synth/`. Nothing is deployed.",
    );
    let mut ours: Vec<f64> = Vec::new();
    let (mut idle, mut errors, mut always_on) = (0.0_f64, 0, 0);
    for case in &CASES {
        eprintln!("{}", case.title);
        report.section(case.title);
        let times = measure(options, &tools, case.source)?;
        let mut items = Vec::new();
        let mut rows = Vec::new();
        for (maker, times) in Maker::ALL.into_iter().zip(&times) {
            let bytes = tools.template(maker, case.source)?;
            let template = Template::of(&serde_json::from_slice(&bytes)?);
            let found = tools.findings(&bytes)?;
            rows.push(vec![
                maker.title().to_owned(),
                tools::lines(maker, case.source)?.to_string(),
                template.resources.to_string(),
                template.always_on.to_string(),
                format!("{:.2}", template.dollars()),
                bytes.len().to_string(),
                seconds(&times.warm),
                seconds(&times.cold),
                counted(&found),
            ]);
            let said: Vec<String> = template
                .idle
                .iter()
                .map(|(dollars, what)| format!("{what} {dollars:.2}"))
                .collect();
            if maker != Maker::Compiled {
                let said = if said.is_empty() {
                    "nothing".to_owned()
                } else {
                    said.join("; ")
                };
                items.push(format!("- {}, idle a month: {said}", maker.title()));
            }
            if maker == Maker::Kingtide {
                ours.extend(times.warm.iter().map(|seconds| seconds * 1000.0));
                idle = idle.max(template.dollars());
                always_on += template.always_on;
                errors += found.iter().filter(|rule| rule.starts_with('E')).count();
            }
        }
        let head = [
            "by",
            "lines of the file",
            "resources",
            "always on",
            "$ idle a month",
            "bytes",
            "s, warm",
            "s, cold",
            "cfn-lint",
        ];
        report.table(&head, &rows);
        report.line("");
        items.iter().for_each(|item| report.line(item));
    }
    report.line(NOTES);
    report.section("AWS Batch");
    let batch = std::fs::read(crate::workspace_root().join("bench/synth/batch.yaml"))?;
    report.line(&format!(
        "The template of `docs/from-batch.md`, which is {} bytes, to be written and kept by its user: cfn-lint finds {}.",
        batch.len(),
        counted(&tools.findings(&batch)?)
    ));
    let target = |promise: &str, bound, unit, measured: Option<f64>, disturbed| Target {
        promise: promise.to_owned(),
        bound: Bound::AtMost(bound),
        unit,
        measured,
        disturbed,
    };
    // A time that is kept on a busy machine is kept.
    let median = Summary::of(&ours).map(|summary| summary.median);
    let is_busy = !machine::is_quiet(&load_before) && median.is_some_and(|median| median > PROMISED_MS);
    report.targets(&[
        target(
            "`kingtide synth`, warm, the median",
            PROMISED_MS,
            " ms",
            median,
            is_busy,
        ),
        target("always-on resources", 0.0, "", Some(always_on as f64), false),
        target("errors of cfn-lint", 0.0, "", Some(errors as f64), false),
        target("idle a month, the dearest", 1.0, " $", Some(idle), false),
    ]);
    report.section("Versions");
    for (name, version) in &tools.versions {
        report.line(&format!(
            "- {name} {}",
            version.trim().trim_start_matches(name.as_str()).trim()
        ));
    }
    report.machine(&scratch, &floors, &load_before);
    report.write()
}

/// All rounds of all makers. Every second one goes backwards, so that nobody is always first.
fn measure(options: &Options, tools: &Tools, source: Source) -> anyhow::Result<[Times; 3]> {
    let mut times: [Times; 3] = Default::default();
    for maker in Maker::ALL {
        // What is made once for all later starts (a folder of output) is not counted.
        tools.time(maker, source, false)?;
    }
    for round in 0..options.rounds {
        let mut order: Vec<(Maker, &mut Times)> = Maker::ALL.into_iter().zip(times.iter_mut()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (maker, times) in order {
            times.cold.push(tools.time(maker, source, true)?);
            times.warm.push(tools.time(maker, source, false)?);
            eprintln!(
                "round {}: {}, {:.3} s (load {})",
                round + 1,
                maker.title(),
                times.warm.last().copied().unwrap_or_default(),
                machine::load()
            );
        }
    }
    Ok(times)
}

/// The median with its ends.
fn seconds(samples: &[f64]) -> String {
    Summary::of(samples).map_or_else(String::new, |summary| {
        format!("{:.3} ({:.3}–{:.3})", summary.median, summary.least, summary.most)
    })
}

/// Rules with how often each was broken.
fn counted(rules: &[String]) -> String {
    let mut kinds: Vec<&String> = rules.iter().collect();
    kinds.sort_unstable();
    kinds.dedup();
    let count = |kind: &String| rules.iter().filter(|rule| *rule == kind).count();
    let said: Vec<String> = kinds
        .into_iter()
        .map(|kind| match count(kind) {
            1 => kind.clone(),
            times => format!("{kind} × {times}"),
        })
        .collect();
    if said.is_empty() {
        "nothing".to_owned()
    } else {
        said.join(", ")
    }
}

const NOTES: &str = "
*always on*: resources that are paid for by the hour. *lines*: of the user's own file, without blank ones and comments; CDK's application has `package.json`, \
`tsconfig.json` and `cdk.json` beside it, and a node to run. `AWS::CDK::Metadata` is not counted. *warm*, *cold*: median, fastest, slowest; cold with the tool's own files dropped \
from the page cache. `cdk synth` runs the application as `cdk init` sets it up, with ts-node, which checks types at each start; the line below is the fastest there is: \
compiled before, and without the `cdk` program. CDK's time stands with its questions for newer versions and notices turned off. What the two come to is not the same: see `docs/from-cdk.md`.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_show_is_what_is_measured() {
        let read = |path: &str| {
            let path = crate::workspace_root().join(path);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let shown = [
            ("docs/from-cdk.md", "burst.ts"),
            ("docs/from-cdk.md", "consumer.py"),
            ("docs/from-cdk.md", "queue/kingtide.toml"),
            ("docs/from-cdk.md", "scheduled.ts"),
            ("docs/from-cdk.md", "scheduled/kingtide.toml"),
            ("docs/from-batch.md", "batch.yaml"),
            ("docs/from-batch.md", "child.py"),
        ];
        for (page, file) in shown {
            let text = read(&format!("bench/synth/{file}"));
            assert!(
                read(page).contains(&format!("\n{text}```\n")),
                "{page} shows another {file}"
            );
        }
    }

    #[test]
    fn findings_are_counted_by_rule() {
        let rules = ["W3005", "E3012", "W3005"].map(str::to_owned);
        assert_eq!(counted(&rules), "E3012, W3005 × 2");
        assert_eq!(counted(&[]), "nothing");
    }
}

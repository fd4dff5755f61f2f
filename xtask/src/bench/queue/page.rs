//! The page of the queues' benchmark.

use std::path::Path;

use super::super::binary::Kingtide;
use super::super::floors::Floors;
use super::super::machine;
use super::super::options::Options;
use super::super::report::{Bound, Report, Target};
use super::super::timing::Summary;
use super::tools::{Client, Counts, Tools};
use super::{Cell, IDLE, LOADS, POLL_ROUNDS, SOAK_CLIENTS, Who};

/// When the slowest round of the server of fixed answers took this much longer than its fastest, something else ran on the machine.
const DISTURBED: f64 = 1.3;
/// The first samples are the server's growing to the size that the load needs.
const GROWTH: usize = 3;

/// All that was measured.
pub(super) struct Findings<'a> {
    pub(super) options: &'a Options,
    pub(super) kingtide: &'a Kingtide,
    pub(super) tools: &'a Tools,
    pub(super) missing: Vec<(String, String)>,
    pub(super) cells: Vec<Cell>,
    /// Milliseconds: median, 99th percentile.
    pub(super) poll: (f64, f64),
    pub(super) idle_mib: f64,
    pub(super) wakeups: u64,
    pub(super) counts: Counts,
    /// MiB, once a second, while many clients were at it.
    pub(super) held: Vec<f64>,
}

/// A page without its end.
pub(super) struct Page(Report);

impl Page {
    pub(super) fn finish(mut self, scratch: &Path, floors: &Floors, load_before: &str) -> anyhow::Result<()> {
        self.0.machine(scratch, floors, load_before);
        self.0.write()
    }
}

impl Findings<'_> {
    pub(super) fn report(&self, load_before: &str) -> Page {
        let Options {
            rounds,
            seconds,
            backlog,
            soak,
            ..
        } = self.options;
        let what = format!(
            "Messages a second through send, receive and delete, bodies of 100 bytes; {rounds} rounds of {seconds} s side by side, medians. \
             What Kingtide has acknowledged is on the disk; moto and ministack keep everything in memory; the null server keeps nothing."
        );
        let mut report = Report::new("queue", &what);
        for client in Client::ALL {
            report.section(&format!("Messages a second, {}", client.title()));
            self.rates(&mut report, client);
        }
        for (name, reason) in &self.missing {
            report.line(&format!("\n{name}: missing ({reason})"));
        }
        let not_filled = "\nmoto and ministack are not measured with a backlog: at their rates filling them would take longer than all the rest.";
        report.line(not_filled);

        report.section("Beside the rates");
        let counts = &self.counts;
        let (least, most) = self.flat().map_or((0.0, 0.0), |held| (held.least, held.most));
        let row = |what: &str, found: String| vec![what.to_owned(), found];
        report.table(
            &["what", "measured"],
            &[
                row(
                    &format!("a waiting receive after the send's commit, {POLL_ROUNDS} times"),
                    format!("median {:.2} ms, 99th percentile {:.2} ms", self.poll.0, self.poll.1),
                ),
                row("an idle `up`, resident", format!("{:.1} MiB", self.idle_mib)),
                row(
                    &format!("wake-ups of its threads in {} idle seconds", IDLE.as_secs()),
                    self.wakeups.to_string(),
                ),
                row(
                    &format!("{SOAK_CLIENTS} clients × 10 a call for {soak} s"),
                    format!(
                        "{} sent, {} lost, {} received twice; resident {least:.1} to {most:.1} MiB",
                        counts.sent, counts.lost, counts.twice
                    ),
                ),
            ],
        );

        report.section("Commands");
        let mut commands = vec![
            row("Kingtide", "`kingtide up --sqs 127.0.0.1:0`".to_owned()),
            row(
                "null",
                "`sqs-null 1`, `sqs-null 10`: hyper on tokio, as Kingtide's listener is".to_owned(),
            ),
            row("moto", "`moto_server`".to_owned()),
            row("ministack", "`ministack` with `SERVICES=sqs`".to_owned()),
            row(
                "boto3",
                format!("`python3 with_boto3.py CLIENTS BATCH {seconds}`, a process a client"),
            ),
            row(
                "Rust SDK",
                format!("`sqs-client load CLIENTS BATCH {seconds}`, a task a client"),
            ),
        ];
        commands.push(row("backlog", format!("`sqs-client fill {backlog}`")));
        report.table(&["who", "command"], &commands);
        let versions: Vec<String> = self
            .tools
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        report.line(&format!(
            "\nVersions: {}, {}.",
            self.kingtide.version,
            versions.join(", ")
        ));

        let uneven = self
            .cells
            .iter()
            .filter(|cell| cell.who == Who::Null)
            .any(|cell| Summary::of(&cell.rates).is_some_and(|rates| rates.most > rates.least * DISTURBED));
        let disturbed = uneven || !machine::is_quiet(load_before);
        if disturbed {
            report.line(
                "\n**The machine was not quiet**, by its load before or by how much the rounds of the null server differ: no target is decided.",
            );
        }
        report.targets(&self.targets(disturbed));
        Page(report)
    }

    fn rates(&self, report: &mut Report, client: Client) {
        let backlog = format!("Kingtide, backlog {}", self.options.backlog);
        let head = [
            "clients",
            "a call",
            "null",
            "Kingtide",
            "ratio to null",
            &backlog,
            "ratio to empty",
            "moto",
            "ministack",
        ];
        let rows: Vec<Vec<String>> = LOADS
            .into_iter()
            .map(|(clients, batch)| {
                let rate = |who| self.cell(who, client, clients, batch).and_then(Cell::median);
                let number = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"));
                let ratio = |one, other| {
                    let ratio = self.ratio(client, clients, batch, one, other);
                    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
                };
                vec![
                    clients.to_string(),
                    batch.to_string(),
                    number(rate(Who::Null)),
                    number(rate(Who::Kingtide)),
                    ratio(Who::Kingtide, Who::Null),
                    number(rate(Who::Backlog)),
                    ratio(Who::Backlog, Who::Kingtide),
                    number(rate(Who::Moto)),
                    number(rate(Who::Ministack)),
                ]
            })
            .collect();
        report.table(&head, &rows);
    }

    fn cell(&self, who: Who, client: Client, clients: usize, batch: usize) -> Option<&Cell> {
        self.cells
            .iter()
            .find(|cell| (cell.who, cell.client, cell.clients, cell.batch) == (who, client, clients, batch))
    }

    /// The median over the rounds of one's rate against the other's in the same round.
    fn ratio(&self, client: Client, clients: usize, batch: usize, one: Who, other: Who) -> Option<f64> {
        let one = &self.cell(one, client, clients, batch)?.rates;
        let other = &self.cell(other, client, clients, batch)?.rates;
        let ratios: Vec<f64> = one.iter().zip(other).map(|(one, other)| one / other).collect();
        Summary::of(&ratios).map(|ratios| ratios.median)
    }

    /// What the server held when it had grown to its load.
    fn flat(&self) -> Option<Summary> {
        Summary::of(self.held.get(GROWTH..).unwrap_or_default())
    }

    fn targets(&self, disturbed: bool) -> Vec<Target> {
        let target = |promise: String, bound, unit, measured| Target {
            promise,
            bound,
            unit,
            measured,
            disturbed,
        };
        let through_boto3 = LOADS.into_iter().map(|(clients, batch)| {
            let plural = if clients == 1 { "" } else { "s" };
            let promise = format!("boto3, {clients} client{plural} × {batch} a call, against the null server");
            let ratio = self.ratio(Client::Boto3, clients, batch, Who::Kingtide, Who::Null);
            target(promise, Bound::AtLeast(0.7), " ×", ratio)
        });
        let rate = self.cell(Who::Kingtide, Client::Rust, 8, 10).and_then(Cell::median);
        let beside_backlog = self.ratio(Client::Rust, 8, 10, Who::Backlog, Who::Kingtide);
        let growth = self.flat().map(|held| held.most / held.least);
        // What is counted and not timed stands whatever else runs.
        let counted = |promise: &str, unit, measured| Target {
            promise: promise.to_owned(),
            bound: Bound::AtMost(0.0),
            unit,
            measured: Some(measured),
            disturbed: false,
        };
        let mut targets: Vec<Target> = through_boto3.collect();
        targets.extend([
            target(
                "Rust SDK, 8 clients × 10 a call, durable".to_owned(),
                Bound::AtLeast(5000.0),
                " messages/s",
                rate,
            ),
            target(
                "the same beside a backlog, against without".to_owned(),
                Bound::AtLeast(0.8),
                " ×",
                beside_backlog,
            ),
            target(
                "a waiting receive, 99th percentile".to_owned(),
                Bound::AtMost(10.0),
                " ms",
                Some(self.poll.1),
            ),
            Target {
                disturbed: false,
                ..target(
                    "an idle `up`".to_owned(),
                    Bound::AtMost(30.0),
                    " MiB",
                    Some(self.idle_mib),
                )
            },
            counted("wake-ups while nothing is due", "", self.wakeups as f64),
            counted("lost by many clients", "", self.counts.lost),
            counted("received twice by many clients", "", self.counts.twice),
            Target {
                disturbed: false,
                ..target(
                    "memory under many clients, most against least".to_owned(),
                    Bound::AtMost(1.2),
                    " ×",
                    growth,
                )
            },
        ]);
        targets
    }
}

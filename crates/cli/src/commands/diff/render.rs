//! What differs, as people and programs read it.

use kingtide_core::cloud::changes::{Change, Changes, Difference, Permission, What, short};
use kingtide_core::cloud::cost::{self, Bill, Worker};
use kingtide_core::cloud::fargate::Size;
use kingtide_core::cloud::prices::Region;
use kingtide_core::project::aws::Architecture;
use kingtide_remote::wire::Drift;
use serde_json::{Value as Json, json};

use crate::output::style::Style;
use crate::output::text::{cut, plural, tame};
use crate::remote::quote;
use crate::remote::site::Site;
use crate::remote::tariff::dollars;

/// A value of a property is shown so far.
const VALUE: usize = 60;
/// Differences of one resource that are shown.
const MOST_DIFFERENCES: usize = 8;

/// What is there against what would be.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) stack: String,
    pub(crate) region: String,
    /// `None`: nothing is there.
    pub(crate) status: Option<String>,
    pub(crate) changes: Changes,
    /// `None`: no price of the region is known.
    pub(crate) costs: Option<Costs>,
    /// `None`: not looked at.
    pub(crate) drift: Option<Vec<Drift>>,
}

/// Before and after.
#[derive(Debug)]
pub(crate) struct Costs {
    idle_before: Option<Bill>,
    idle: Bill,
    workers: Vec<OfWorker>,
}

/// What a job's worker costs for an hour, before and after.
#[derive(Debug)]
struct OfWorker {
    job: String,
    before: Option<f64>,
    after: Option<f64>,
    /// That a run of the job's own messages takes, as far as anything tells.
    hours: Option<f64>,
}

impl Costs {
    pub(crate) fn of(site: &Site, before: Option<&Json>, after: &Json, prices: &Region<'_>) -> Costs {
        let workers = site.project.jobs.values().map(|job| {
            let of = |template: &Json| worker(template, &job.name).and_then(|worker| worker.hourly(prices));
            OfWorker {
                job: job.name.clone(),
                before: before.and_then(of),
                after: of(after),
                hours: quote::worker_hours(site, job),
            }
        });
        Costs {
            idle_before: before.map(|before| cost::idle(before, prices)),
            idle: cost::idle(after, prices),
            workers: workers.filter(|of| of.before.is_some() || of.after.is_some()).collect(),
        }
    }
}

/// A job's worker, by the smallest of its definitions that has a container of the job's.
pub(crate) fn worker(template: &Json, job: &str) -> Option<Worker> {
    let origin = format!("job.{job}");
    let resources = template["Resources"].as_object()?.values();
    let definitions = resources.filter(|of| {
        of["Type"] == "AWS::ECS::TaskDefinition"
            && of["Metadata"]["kingtide"]["from"] == origin.as_str()
            && of["Properties"]["ContainerDefinitions"]
                .as_array()
                .is_some_and(|containers| containers.iter().any(|container| container["Name"] == "job"))
    });
    let size = |of: &Json| {
        let number = |key: &str| of["Properties"][key].as_str()?.parse().ok();
        Some(Size {
            cpu: number("Cpu")?,
            memory_mib: number("Memory")?,
        })
    };
    let smallest = definitions
        .filter_map(|of| Some((size(of)?, of)))
        .min_by_key(|(size, _)| (size.memory_mib, size.cpu))?;
    let (size, definition) = smallest;
    let properties = &definition["Properties"];
    Some(Worker {
        size,
        architecture: match properties["RuntimePlatform"]["CpuArchitecture"].as_str() {
            Some("ARM64") => Architecture::Arm64,
            _ => Architecture::X86_64,
        },
        is_spot: false,
        has_public_ip: template.to_string().contains("\"AssignPublicIp\":\"ENABLED\""),
        disk_gib: properties["EphemeralStorage"]["SizeInGiB"].as_f64().unwrap_or(20.0),
    })
}

pub(crate) fn render(of: &Comparison, style: Style) -> String {
    let mut lines = Vec::new();
    let name = style.bold(&of.stack);
    lines.push(match &of.status {
        Some(status) => format!("{name} in {} ({})", of.region, words(status)),
        None => format!("{name} in {}: not deployed yet", of.region),
    });
    if of.changes.is_empty() {
        lines.push("what is there is what the file says".to_owned());
    }
    for change in &of.changes.resources {
        resource(&mut lines, change, style);
    }
    if !of.changes.statements.is_empty() {
        lines.push(String::new());
        lines.push(style.bold("permissions"));
        lines.extend(
            of.changes
                .statements
                .iter()
                .map(|statement| permission(statement, style)),
        );
    }
    if let Some(drift) = of.drift.as_ref().filter(|drift| !drift.is_empty()) {
        lines.push(String::new());
        lines.push(style.yellow("changed by hand, and not by the file"));
        for of in drift {
            lines.extend(drifted(of));
        }
    }
    lines.push(String::new());
    match &of.costs {
        Some(costs) => cost(&mut lines, costs, style),
        None => lines.push(format!(
            "cost  unknown: no price of {} is known; `kingtide prices update --region {}` reads AWS's price list",
            of.region, of.region
        )),
    }
    lines.join("\n")
}

fn resource(lines: &mut Vec<String>, change: &Change, style: Style) {
    let is_revision = change.kind == "AWS::ECS::TaskDefinition";
    let (sign, remark, differences) = match &change.what {
        What::Added => (style.green("+"), String::new(), &[][..]),
        What::Removed { is_kept: false } => (style.red("-"), String::new(), &[][..]),
        What::Removed { is_kept: true } => (
            style.yellow("-"),
            "stays, and belongs to no stack any more".to_owned(),
            &[][..],
        ),
        What::Changed(differences) => (style.cyan("~"), String::new(), &differences[..]),
        What::Replaced { differences, .. } if is_revision => (
            style.cyan("~"),
            "a new revision: what runs keeps the old one".to_owned(),
            &differences[..],
        ),
        What::Replaced { differences, is_kept } => {
            let remark = match is_kept {
                true => "replaced; the old one stays",
                false => "replaced: a new one is made, and the old one removed with what is in it",
            };
            (style.red("±"), remark.to_owned(), &differences[..])
        }
    };
    let origin = change.origin.as_deref().unwrap_or_default();
    let origin = origin.split(" (").next().unwrap_or_default();
    let mut line = format!(
        "{sign} {:<32} {}",
        change.id,
        style.dim(&format!("{:<36} {origin}", change.kind))
    );
    if !remark.is_empty() {
        line.push_str(&format!("  {remark}"));
    }
    lines.push(line.trim_end().to_owned());
    for difference in differences.iter().take(MOST_DIFFERENCES) {
        lines.push(format!("    {}", property(difference)));
    }
    if differences.len() > MOST_DIFFERENCES {
        let more = (differences.len() - MOST_DIFFERENCES) as u64;
        lines.push(format!(
            "    and {}",
            plural(more, "more property").replace("propertys", "properties")
        ));
    }
}

fn property(of: &Difference) -> String {
    let value = |value: &Json| tame(&cut(&short(value), VALUE));
    match (&of.before, &of.after) {
        // It refers to what is another.
        (None, Some(after)) if after.get("Ref").is_some() => format!("{}: by {}", of.path, short(after)),
        (Some(before), Some(after)) => format!("{}: {} → {}", of.path, value(before), value(after)),
        (None, Some(after)) => format!("{}: {}", of.path, value(after)),
        (Some(before), None) => format!("{}: no longer {}", of.path, value(before)),
        (None, None) => of.path.clone(),
    }
}

fn permission(of: &Permission, style: Style) -> String {
    let sign = if of.is_added { style.green("+") } else { style.red("-") };
    let who = match &of.principal {
        Some(principal) => format!("{}, {principal}", of.id),
        None => of.id.clone(),
    };
    let mut text = format!("{sign} {who}: {} {}", of.effect.to_lowercase(), of.actions.join(", "));
    if !of.resources.is_empty() {
        text.push_str(&format!(" on {}", of.resources.join(", ")));
    }
    if let Some(condition) = &of.condition {
        text.push_str(&format!(" where {condition}"));
    }
    tame(&text)
}

fn drifted(of: &Drift) -> Vec<String> {
    if of.is_deleted {
        return vec![format!("  {} ({}) is gone", of.logical_id, of.kind)];
    }
    let mut lines = vec![format!("  {} ({})", of.logical_id, of.kind)];
    for (path, expected, actual) in &of.differences {
        lines.push(format!(
            "    {path}: {} was made, {} is there",
            cut(&tame(expected), VALUE),
            cut(&tame(actual), VALUE)
        ));
    }
    lines
}

fn cost(lines: &mut Vec<String>, costs: &Costs, style: Style) {
    let month = |bill: &Bill| format!("{} a month", dollars(bill.sum()));
    lines.push(match &costs.idle_before {
        Some(before) if before.sum() != costs.idle.sum() => {
            format!("idle  {} → {}", month(before), style.bold(&month(&costs.idle)))
        }
        _ => format!("idle  {}", style.bold(&month(&costs.idle))),
    });
    for line in &costs.idle.lines {
        let amount = line.usd.map_or_else(|| "unknown".to_owned(), dollars);
        lines.push(style.dim(&format!("      {amount:>8}  {}", line.what)));
    }
    lines.extend(costs.workers.iter().map(of_run));
}

fn of_run(of: &OfWorker) -> String {
    let hour = |usd: f64| format!("${usd:.4}");
    let change = |amount: &dyn Fn(f64) -> String| match (of.before, of.after) {
        (Some(before), Some(after)) if before != after => format!("{} → {}", amount(before), amount(after)),
        (_, Some(after)) => amount(after),
        (Some(before), None) => format!("{} → none", amount(before)),
        (None, None) => "unknown".to_owned(),
    };
    let job = &of.job;
    match of.hours {
        Some(hours) => format!(
            "run   {job}: about {} for its workers, {} for each of their hours",
            change(&|usd| dollars(usd * hours)),
            change(&hour)
        ),
        None => format!(
            "run   {job}: {} for a worker and an hour; nothing tells yet how long a run takes",
            change(&hour)
        ),
    }
}

/// `update complete`
fn words(status: &str) -> String {
    status.to_ascii_lowercase().replace('_', " ")
}

/// Its shape is a promise.
pub(crate) fn json(of: &Comparison) -> Json {
    let resource = |change: &Change| {
        let (what, differences, is_kept) = match &change.what {
            What::Added => ("added", &[][..], None),
            What::Removed { is_kept } => ("removed", &[][..], Some(*is_kept)),
            What::Changed(differences) => ("changed", &differences[..], None),
            What::Replaced { differences, is_kept } => ("replaced", &differences[..], Some(*is_kept)),
        };
        let differences = differences
            .iter()
            .map(|of| json!({ "path": of.path, "before": of.before, "after": of.after, "replaces": of.replaces }));
        json!({
            "id": change.id, "type": change.kind, "from": change.origin, "what": what, "kept": is_kept,
            "properties": differences.collect::<Vec<_>>(),
        })
    };
    let statement = |of: &Permission| {
        json!({
            "of": of.id, "what": if of.is_added { "added" } else { "removed" }, "effect": of.effect, "actions": of.actions,
            "resources": of.resources, "principal": of.principal, "condition": of.condition,
        })
    };
    let bill = |bill: &Bill| {
        let lines = bill
            .lines
            .iter()
            .map(|line| json!({ "what": line.what, "usd": line.usd }));
        json!({ "usd": bill.sum(), "lines": lines.collect::<Vec<_>>() })
    };
    let costs = of.costs.as_ref().map(|costs| {
        let workers = costs
            .workers
            .iter()
            .map(|of| json!({ "job": of.job, "hour_before": of.before, "hour": of.after, "hours_of_a_run": of.hours }));
        json!({
            "idle_before": costs.idle_before.as_ref().map(bill),
            "idle": bill(&costs.idle),
            "workers": workers.collect::<Vec<_>>(),
        })
    });
    let drift = of.drift.as_ref().map(|drift| {
        let of = |of: &Drift| {
            json!({ "id": of.logical_id, "type": of.kind, "deleted": of.is_deleted, "properties": of.differences })
        };
        drift.iter().map(of).collect::<Vec<_>>()
    });
    json!({
        "stack": of.stack,
        "region": of.region,
        "status": of.status,
        "resources": of.changes.resources.iter().map(resource).collect::<Vec<_>>(),
        "statements": of.changes.statements.iter().map(statement).collect::<Vec<_>>(),
        "cost": costs,
        "drift": drift,
    })
}

//! Figures: those of the rows, in the format, and summed once.

use std::collections::BTreeSet;

use super::House;
use crate::web::METRICS;

/// A figure of the page by its name with its labels.
fn figure(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

#[test]
fn figures_are_those_of_the_rows() {
    let house = House::new();
    let reply = house.look("/metrics");
    assert_eq!((reply.status, reply.content_type), (200, METRICS));
    let page = reply.body;
    for (name, expected) in [
        (r#"kingtide_runs{job="retrain",state="failed"}"#, 1.0),
        (r#"kingtide_runs{job="new",state="open"}"#, 0.0),
        (r#"kingtide_tasks{job="retrain",state="succeeded"}"#, 4.0),
        (r#"kingtide_tasks{job="score",state="leased"}"#, 2.0),
        (r#"kingtide_tasks{job="score",state="waiting"}"#, 4.0),
        (r#"kingtide_attempts_total{job="retrain",outcome="out_of_memory"}"#, 1.0),
        (
            r#"kingtide_attempt_duration_seconds_bucket{job="retrain",le="10"}"#,
            5.0,
        ),
        (
            r#"kingtide_attempt_duration_seconds_bucket{job="retrain",le="+Inf"}"#,
            8.0,
        ),
        (r#"kingtide_attempt_duration_seconds_count{job="retrain"}"#, 8.0),
        (r#"kingtide_attempt_duration_seconds_sum{job="retrain"}"#, 113.0),
        (r#"kingtide_attempt_cpu_seconds_total{job="retrain"}"#, 60.0),
        (r#"kingtide_last_run_duration_seconds{job="retrain"}"#, 100.0),
        (r#"kingtide_queue_messages{queue="score",state="visible"}"#, 4.0),
        (r#"kingtide_queue_oldest_message_age_seconds{queue="score"}"#, 100.0),
        (r#"kingtide_queue_oldest_message_age_seconds{queue="new"}"#, 0.0),
    ] {
        assert_eq!(figure(&page, name), Some(expected), "{name}\n{page}");
    }
    assert!(figure(&page, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0));
    assert!(page.contains("kingtide_build_info{version="));
    // Nothing has succeeded yet, which is not the same as long ago.
    assert!(!page.contains("kingtide_last_success_timestamp_seconds{"));
}

/// What the text format demands: each metric has its help and kind once, before its samples, which stand together and are all
/// different.
#[test]
fn figures_are_in_the_format() {
    let house = House::new();
    let page = house.look("/metrics").body;
    assert!(page.ends_with('\n'));
    let (mut helped, mut kinds, mut samples) = (Vec::new(), Vec::new(), BTreeSet::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().expect("a name").to_owned();
            assert!(!helped.contains(&name), "{name} is helped twice");
            helped.push(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert_eq!(helped.last().map(String::as_str), Some(name));
            assert!(["gauge", "counter", "histogram"].contains(&kind));
            kinds.push((name.to_owned(), kind.to_owned()));
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            value.parse::<f64>().expect("a number");
            let name = sample.split('{').next().expect("a name");
            let (metric, kind) = kinds.last().expect("a metric has begun");
            let ends: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(
                ends.iter().any(|end| name == format!("{metric}{end}")),
                "{line} among {metric}"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(samples.insert(sample.to_owned()), "{sample} comes twice");
        }
    }
    assert_eq!(helped.len(), kinds.len());
}

#[test]
fn what_is_over_is_summed_once_and_forgotten_with_its_run() {
    let house = House::new();
    let attempts = |house: &House| {
        figure(
            &house.look("/metrics").body,
            r#"kingtide_attempts_total{job="retrain",outcome="lost"}"#,
        )
    };
    assert_eq!(attempts(&house), Some(1.0));
    // Of a run that is over nothing changes; if it did, nobody would look.
    house.write("UPDATE attempt SET outcome = 'lost' WHERE run = 1");
    assert_eq!(attempts(&house), Some(1.0));
    house.write("INSERT INTO attempt (run, seq, number, outcome, ended_at) VALUES (2, 1, 1, 'lost', 1)");
    let open = figure(
        &house.look("/metrics").body,
        r#"kingtide_attempts_total{job="score",outcome="lost"}"#,
    );
    assert_eq!(open, Some(1.0));
    house.write("DELETE FROM run WHERE id = 1");
    assert_eq!(attempts(&house), None);
}

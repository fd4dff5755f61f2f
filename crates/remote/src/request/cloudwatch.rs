//! Amazon CloudWatch: how much of a quota is in use.

use std::time::{Duration, SystemTime};

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::query::{Form, Query};
use super::xml;

const CLOUDWATCH: Query = Query {
    service: Service::CloudWatch,
    version: "2010-08-01",
};

/// What a quota of Fargate is of, as its metric calls it
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html>).
pub const ON_DEMAND: &str = "Standard/OnDemand";
/// The same of Spot.
pub const SPOT: &str = "Standard/Spot";

/// The metric comes every five minutes, and late.
const PERIOD: Duration = Duration::from_secs(300);
const WINDOW: Duration = Duration::from_secs(20 * 60);

/// vCPUs of Fargate that are in use, by the newest word of some minutes ago; `None` where there is none, as where nothing runs.
///
/// # Errors
/// Of any kind.
pub fn fargate_vcpus(client: &Client, class: &str, now: SystemTime) -> Result<Option<f64>, RequestError> {
    let moment = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
    let mut form = Form::default()
        .with("Namespace", "AWS/Usage")
        .with("MetricName", "ResourceCount")
        .with("StartTime", moment(now - WINDOW))
        .with("EndTime", moment(now))
        .with("Period", PERIOD.as_secs().to_string())
        .with("Statistics.member.1", "Maximum");
    let dimensions = [
        ("Service", "Fargate"),
        ("Type", "Resource"),
        ("Resource", "vCPU"),
        ("Class", class),
    ];
    for (index, (name, value)) in dimensions.into_iter().enumerate() {
        let member = format!("Dimensions.member.{}", index + 1);
        form = form
            .with(format!("{member}.Name"), name)
            .with(format!("{member}.Value"), value);
    }
    CLOUDWATCH.ask(client, "cloudwatch:GetMetricStatistics", form, |document| {
        let result = xml::find(document, "GetMetricStatisticsResult").unwrap_or(document.root_element());
        let points = xml::members(result, "Datapoints").into_iter();
        let newest = points.max_by_key(|point| xml::text(*point, "Timestamp"));
        newest.and_then(|point| xml::text(point, "Maximum").parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::testing::{Server, client};

    #[test]
    fn the_newest_word_counts() {
        let server = Server::start(|request| {
            let body = String::from_utf8_lossy(&request.body);
            assert!(
                body.contains("Dimensions.member.4.Value=Standard%2FSpot")
                    && body.contains("EndTime=1970-01-01T01%3A00%3A00Z")
            );
            let point =
                |at: &str, most: &str| format!("<member><Timestamp>{at}</Timestamp><Maximum>{most}</Maximum></member>");
            let points = point("2026-11-24T22:05:00Z", "12.0") + &point("2026-11-24T22:00:00Z", "40.0");
            Server::answer(
                200,
                &[],
                &format!(
                    "<R><GetMetricStatisticsResult><Datapoints>{points}</Datapoints></GetMetricStatisticsResult></R>"
                ),
            )
        });
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
        assert_eq!(fargate_vcpus(&client(&server), SPOT, now).expect("told"), Some(12.0));
    }
}

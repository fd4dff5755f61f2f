//! Service Quotas: how much an account may have at once.

use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::endpoint::Service;
use super::errors::{OrAbsent as _, RequestError};
use super::json::{JSON_1_1, Protocol};

const QUOTAS: Protocol = Protocol {
    service: Service::Quotas,
    target: "ServiceQuotasV20190624",
    content_type: JSON_1_1,
};

/// vCPUs of Fargate on demand (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html>).
pub const FARGATE_ON_DEMAND: &str = "L-3032A538";
/// vCPUs of Fargate Spot.
pub const FARGATE_SPOT: &str = "L-36FBB829";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    quota: Quota,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Quota {
    value: f64,
}

/// The quota of Fargate by its code; AWS's default where the account has none of its own.
///
/// # Errors
/// `NotFound` where there is no such quota.
pub fn fargate(client: &Client, code: &str) -> Result<f64, RequestError> {
    let body = json!({ "ServiceCode": "fargate", "QuotaCode": code });
    let own: Option<Answer> = QUOTAS.ask(client, "servicequotas:GetServiceQuota", &body).or_absent()?;
    let answer = match own {
        Some(own) => own,
        None => QUOTAS.ask(client, "servicequotas:GetAWSDefaultServiceQuota", &body)?,
    };
    Ok(answer.quota.value)
}

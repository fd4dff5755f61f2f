//! What was changed by hand since a stack was deployed. Looking takes CloudFormation some seconds, during which it is asked how far it is.

use roxmltree::Node;

use super::{CLOUDFORMATION, missing};
use crate::request::client::Client;
use crate::request::errors::RequestError;
use crate::request::query::Form;
use crate::request::xml;

/// How far the looking is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Detection {
    /// Not done.
    Looking,
    /// It is done.
    Done,
    /// It could not look, and why; what was found before may still be read.
    Failed(String),
}

/// A resource that is not what the template says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Drift {
    /// As the template names it.
    pub logical_id: String,
    /// `AWS::SQS::Queue`
    pub kind: String,
    /// It is gone.
    pub is_deleted: bool,
    /// Where, what it should be, and what it is.
    pub differences: Vec<(String, String, String)>,
}

/// Begins to look; the id of it.
///
/// # Errors
/// `NotFound` where there is no such stack.
pub fn detect_drift(client: &Client, stack: &str) -> Result<String, RequestError> {
    let form = Form::default().with("StackName", stack);
    let begun = CLOUDFORMATION.ask(client, "cloudformation:DetectStackDrift", form, |document| {
        let id = xml::find(document, "StackDriftDetectionId").and_then(|node| node.text());
        id.unwrap_or_default().to_owned()
    });
    missing(begun)
}

/// How far it is.
///
/// # Errors
/// Of any kind.
pub fn drift_detection(client: &Client, id: &str) -> Result<Detection, RequestError> {
    let form = Form::default().with("StackDriftDetectionId", id);
    let operation = "cloudformation:DescribeStackDriftDetectionStatus";
    CLOUDFORMATION.ask(client, operation, form, |document| {
        let of = |name| {
            xml::find(document, name)
                .and_then(|node| node.text())
                .unwrap_or_default()
        };
        match of("DetectionStatus") {
            "DETECTION_IN_PROGRESS" => Detection::Looking,
            "DETECTION_FAILED" => Detection::Failed(of("DetectionStatusReason").to_owned()),
            _ => Detection::Done,
        }
    })
}

/// What was found.
///
/// # Errors
/// `NotFound` where there is no such stack.
pub fn drifts(client: &Client, stack: &str) -> Result<Vec<Drift>, RequestError> {
    let form = Form::default()
        .with("StackName", stack)
        .with("StackResourceDriftStatusFilters.member.1", "MODIFIED")
        .with("StackResourceDriftStatusFilters.member.2", "DELETED");
    let operation = "cloudformation:DescribeStackResourceDrifts";
    let found = CLOUDFORMATION.ask(client, operation, form, |document| {
        let result = xml::find(document, "DescribeStackResourceDriftsResult").unwrap_or(document.root_element());
        let members = xml::members(result, "StackResourceDrifts").into_iter();
        members.map(drift_of).collect()
    });
    missing(found)
}

fn drift_of(node: Node<'_, '_>) -> Drift {
    let differences = xml::members(node, "PropertyDifferences").into_iter();
    Drift {
        logical_id: xml::text(node, "LogicalResourceId"),
        kind: xml::text(node, "ResourceType"),
        is_deleted: xml::text(node, "StackResourceDriftStatus") == "DELETED",
        differences: differences
            .map(|one| {
                (
                    xml::text(one, "PropertyPath"),
                    xml::text(one, "ExpectedValue"),
                    xml::text(one, "ActualValue"),
                )
            })
            .collect(),
    }
}

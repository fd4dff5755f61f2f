//! AWS CloudFormation: stacks, change sets and what happens with them. `cloudformation/drift.rs` is what was changed by hand.

mod drift;

use std::collections::BTreeMap;

use roxmltree::Node;

use super::client::Client;
use super::endpoint::Service;
use super::errors::{Kind, OrAbsent as _, RequestError};
use super::query::{Form, Query};
use super::xml;

pub use self::drift::{Detection, Drift, detect_drift, drift_detection, drifts};

const CLOUDFORMATION: Query = Query {
    service: Service::CloudFormation,
    version: "2010-05-15",
};

/// A template that is handed over by itself is not longer.
pub const MOST_BODY: usize = 51_200;

/// A stack.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stack {
    /// Its ARN: the stack of that name may be another one tomorrow.
    pub id: String,
    /// `CREATE_COMPLETE`, …
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// `2026-11-24T22:00:00Z`
    pub created: String,
    /// The same; `None` where it was not updated yet.
    pub updated: Option<String>,
    /// By name.
    pub parameters: BTreeMap<String, String>,
    /// By name.
    pub outputs: BTreeMap<String, String>,
    /// By name.
    pub tags: BTreeMap<String, String>,
}

/// What has happened to a resource, or to the stack itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Event {
    /// Of this event alone.
    pub id: String,
    /// As CloudFormation writes it.
    pub at: String,
    /// The stack's name where it is the stack's own.
    pub logical_id: String,
    /// What the service calls it.
    pub physical_id: String,
    /// `AWS::SQS::Queue`
    pub kind: String,
    /// `CREATE_FAILED`, …
    pub status: String,
    /// Why.
    pub reason: Option<String>,
}

/// A resource of a stack.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Resource {
    /// As the template names it.
    pub logical_id: String,
    /// What the service calls it.
    pub physical_id: String,
    /// `AWS::SQS::Queue`
    pub kind: String,
    /// `CREATE_COMPLETE`, …
    pub status: String,
}

/// A change set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChangeSet {
    /// `CREATE_COMPLETE`, `FAILED`, …
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether it may be executed: `AVAILABLE`.
    pub execution: String,
}

impl ChangeSet {
    /// CloudFormation calls it a failure when there is nothing to change.
    pub fn is_empty(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        self.status == "FAILED"
            && (reason.contains("didn't contain changes") || reason.contains("No updates are to be performed"))
    }
}

/// What a stack is to become.
pub struct Wanted<'a> {
    /// Its name.
    pub stack: &'a str,
    /// Of the change set.
    pub name: &'a str,
    /// There is no stack of that name yet.
    pub is_new: bool,
    /// The template itself, or where it lies in a bucket.
    pub template: Template<'a>,
    /// By name.
    pub parameters: &'a BTreeMap<String, String>,
    /// By name.
    pub tags: &'a BTreeMap<String, String>,
}

/// A template, and how it is handed over.
#[derive(Clone, Copy, Debug)]
pub enum Template<'a> {
    /// As it is.
    Body(&'a str),
    /// `https://bucket.s3.region.amazonaws.com/key`
    Url(&'a str),
}

/// The stack of a name, or `None`; one that was removed is found by its ARN only.
///
/// # Errors
/// Of any kind.
pub fn describe(client: &Client, stack: &str) -> Result<Option<Stack>, RequestError> {
    let form = Form::default().with("StackName", stack);
    let found = CLOUDFORMATION.ask(client, "cloudformation:DescribeStacks", form, |document| {
        xml::find(document, "Stacks").and_then(|stacks| {
            let first = stacks.children().find(Node::is_element)?;
            Some(stack_of(first))
        })
    });
    Ok(missing(found).or_absent()?.flatten())
}

/// CloudFormation says `ValidationError` of what is not there.
fn missing<T>(answer: Result<T, RequestError>) -> Result<T, RequestError> {
    answer.map_err(|error| match error.message.contains("does not exist") {
        true => RequestError {
            kind: Kind::NotFound,
            ..error
        },
        false => error,
    })
}

fn stack_of(node: Node<'_, '_>) -> Stack {
    let pairs = |list, key, value| -> BTreeMap<String, String> {
        let members = xml::members(node, list).into_iter();
        members
            .map(|member| (xml::text(member, key), xml::text(member, value)))
            .collect()
    };
    Stack {
        id: xml::text(node, "StackId"),
        status: xml::text(node, "StackStatus"),
        reason: xml::maybe(node, "StackStatusReason"),
        created: xml::text(node, "CreationTime"),
        updated: xml::maybe(node, "LastUpdatedTime"),
        parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
        outputs: pairs("Outputs", "OutputKey", "OutputValue"),
        tags: pairs("Tags", "Key", "Value"),
    }
}

/// The template of a stack as it was handed over.
///
/// # Errors
/// `NotFound` where there is no such stack.
pub fn template(client: &Client, stack: &str) -> Result<String, RequestError> {
    let form = Form::default()
        .with("StackName", stack)
        .with("TemplateStage", "Original");
    let found = CLOUDFORMATION.ask(client, "cloudformation:GetTemplate", form, |document| {
        let body = xml::find(document, "TemplateBody").and_then(|node| node.text());
        body.unwrap_or_default().to_owned()
    });
    missing(found)
}

/// Makes a change set: nothing changes by it yet.
///
/// # Errors
/// `Invalid` where the template is refused; `Exists` where there is one of that name.
pub fn create_change_set(client: &Client, wanted: &Wanted<'_>) -> Result<(), RequestError> {
    let kind = if wanted.is_new { "CREATE" } else { "UPDATE" };
    let mut form = Form::default()
        .with("StackName", wanted.stack)
        .with("ChangeSetName", wanted.name)
        .with("ChangeSetType", kind)
        .with("Capabilities.member.1", "CAPABILITY_IAM")
        .with("Capabilities.member.2", "CAPABILITY_NAMED_IAM");
    form = match wanted.template {
        Template::Body(body) => form.with("TemplateBody", body),
        Template::Url(url) => form.with("TemplateURL", url),
    };
    for (index, (name, value)) in wanted.parameters.iter().enumerate() {
        let member = format!("Parameters.member.{}", index + 1);
        form = form
            .with(format!("{member}.ParameterKey"), name)
            .with(format!("{member}.ParameterValue"), value);
    }
    for (index, (name, value)) in wanted.tags.iter().enumerate() {
        let member = format!("Tags.member.{}", index + 1);
        form = form
            .with(format!("{member}.Key"), name)
            .with(format!("{member}.Value"), value);
    }
    CLOUDFORMATION.ask(client, "cloudformation:CreateChangeSet", form, |_| ())
}

fn of_change_set(stack: &str, name: &str) -> Form {
    Form::default().with("StackName", stack).with("ChangeSetName", name)
}

/// How a change set stands.
///
/// # Errors
/// `NotFound` where there is none of that name.
pub fn change_set(client: &Client, stack: &str, name: &str) -> Result<ChangeSet, RequestError> {
    let form = of_change_set(stack, name);
    let found = CLOUDFORMATION.ask(client, "cloudformation:DescribeChangeSet", form, |document| {
        let result = xml::find(document, "DescribeChangeSetResult").unwrap_or(document.root_element());
        ChangeSet {
            status: xml::text(result, "Status"),
            reason: xml::maybe(result, "StatusReason"),
            execution: xml::text(result, "ExecutionStatus"),
        }
    });
    missing(found)
}

/// Begins to change the stack.
///
/// # Errors
/// Of any kind.
pub fn execute_change_set(client: &Client, stack: &str, name: &str) -> Result<(), RequestError> {
    let form = of_change_set(stack, name);
    CLOUDFORMATION.ask(client, "cloudformation:ExecuteChangeSet", form, |_| ())
}

/// Removes a change set; one that is not there is no error.
///
/// # Errors
/// Of any kind.
pub fn delete_change_set(client: &Client, stack: &str, name: &str) -> Result<(), RequestError> {
    let form = of_change_set(stack, name);
    let gone = CLOUDFORMATION.ask(client, "cloudformation:DeleteChangeSet", form, |_| ());
    missing(gone).or_absent().map(drop)
}

/// The events of a stack that follow the one of the id `after`, the oldest first; all there are where it is not among them.
///
/// # Errors
/// `NotFound` where there is no such stack.
pub fn events_after(client: &Client, stack: &str, after: &str) -> Result<Vec<Event>, RequestError> {
    let mut events = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let form = Form::default()
            .with("StackName", stack)
            .maybe("NextToken", next.as_deref());
        let page = CLOUDFORMATION.ask(client, "cloudformation:DescribeStackEvents", form, |document| {
            let result = xml::find(document, "DescribeStackEventsResult").unwrap_or(document.root_element());
            let members = xml::members(result, "StackEvents").into_iter();
            (
                members.map(event_of).collect::<Vec<_>>(),
                xml::maybe(result, "NextToken"),
            )
        });
        let (page, token) = missing(page)?;
        for event in page {
            if event.id == after {
                events.reverse();
                return Ok(events);
            }
            events.push(event);
        }
        next = token;
        if next.is_none() {
            events.reverse();
            return Ok(events);
        }
    }
}

fn event_of(node: Node<'_, '_>) -> Event {
    Event {
        id: xml::text(node, "EventId"),
        at: xml::text(node, "Timestamp"),
        logical_id: xml::text(node, "LogicalResourceId"),
        physical_id: xml::text(node, "PhysicalResourceId"),
        kind: xml::text(node, "ResourceType"),
        status: xml::text(node, "ResourceStatus"),
        reason: xml::maybe(node, "ResourceStatusReason"),
    }
}

/// The resources of a stack.
///
/// # Errors
/// `NotFound` where there is no such stack.
pub fn resources(client: &Client, stack: &str) -> Result<Vec<Resource>, RequestError> {
    let mut resources = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let form = Form::default()
            .with("StackName", stack)
            .maybe("NextToken", next.as_deref());
        let page = CLOUDFORMATION.ask(client, "cloudformation:ListStackResources", form, |document| {
            let result = xml::find(document, "ListStackResourcesResult").unwrap_or(document.root_element());
            let members = xml::members(result, "StackResourceSummaries").into_iter();
            let resource = |node| Resource {
                logical_id: xml::text(node, "LogicalResourceId"),
                physical_id: xml::text(node, "PhysicalResourceId"),
                kind: xml::text(node, "ResourceType"),
                status: xml::text(node, "ResourceStatus"),
            };
            (
                members.map(resource).collect::<Vec<_>>(),
                xml::maybe(result, "NextToken"),
            )
        });
        let (page, token) = missing(page)?;
        resources.extend(page);
        next = token;
        if next.is_none() {
            return Ok(resources);
        }
    }
}

/// Begins to remove a stack; what it is to keep stays.
///
/// # Errors
/// Of any kind; one that is not there is no error.
pub fn delete(client: &Client, stack: &str) -> Result<(), RequestError> {
    let form = Form::default().with("StackName", stack);
    CLOUDFORMATION.ask(client, "cloudformation:DeleteStack", form, |_| ())
}

//! AWS IAM: whether somebody would be allowed to, asked before it is tried.

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::query::{Form, Query};
use super::xml;

const IAM: Query = Query {
    service: Service::Iam,
    version: "2010-05-08",
};

/// The actions of these that a user or role would not be allowed, on any resource.
///
/// # Errors
/// `Denied` where even asking is not allowed; `Invalid` of a root user, who has no policies.
pub fn refused(client: &Client, principal: &str, actions: &[&str]) -> Result<Vec<String>, RequestError> {
    let form = Form::default()
        .with("PolicySourceArn", principal)
        .with("MaxItems", "1000")
        .list("ActionNames.member", actions.iter().copied());
    IAM.ask(client, "iam:SimulatePrincipalPolicy", form, |document| {
        let result = xml::find(document, "SimulatePrincipalPolicyResult").unwrap_or(document.root_element());
        let members = xml::members(result, "EvaluationResults").into_iter();
        members
            .filter(|member| xml::text(*member, "EvalDecision") != "allowed")
            .map(|member| xml::text(member, "EvalActionName"))
            .collect()
    })
}

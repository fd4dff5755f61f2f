//! Who may do what: statements, each with what it is about. The only place that writes policies.

use serde_json::{Value as Json, json};

use super::template::{LogicalId, Resource};

/// What is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub actions: Vec<&'static str>,
    pub resources: Vec<Json>,
    pub condition: Option<Json>,
    /// Why anything at all is meant, where the resources are `*`.
    pub reason: Option<&'static str>,
}

impl Statement {
    pub fn allow(actions: &[&'static str], resources: impl IntoIterator<Item = Json>) -> Statement {
        Statement {
            actions: actions.to_vec(),
            resources: resources.into_iter().collect(),
            condition: None,
            reason: None,
        }
    }

    /// For actions that AWS does not let be narrowed; `reason` says so, with its source.
    pub fn allow_any(actions: &[&'static str], reason: &'static str) -> Statement {
        Statement {
            reason: Some(reason),
            ..Statement::allow(actions, [json!("*")])
        }
    }

    pub fn when(self, condition: Json) -> Statement {
        Statement {
            condition: Some(condition),
            ..self
        }
    }

    fn json(&self) -> Json {
        let mut json = json!({ "Effect": "Allow", "Action": self.actions, "Resource": self.resources });
        if let Some(condition) = &self.condition {
            json["Condition"] = condition.clone();
        }
        json
    }
}

/// A role of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// `ecs-tasks.amazonaws.com`
    pub service: &'static str,
    pub statements: Vec<Statement>,
    /// ARNs of policies that exist.
    pub policies: Vec<Json>,
    /// An ARN.
    pub boundary: Option<String>,
}

impl Role {
    /// Only for resources of this account (the confused deputy: <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>).
    /// EC2 for its instances and ECS for its infrastructure are not known to send an account along.
    pub fn resource(&self, origin: &str, tags: &Json) -> Resource {
        let mut properties = json!({
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Principal": { "Service": self.service },
                    "Action": "sts:AssumeRole",
                }],
            },
            "Tags": tags,
        });
        if !matches!(self.service, "ec2.amazonaws.com" | "ecs.amazonaws.com") {
            properties["AssumeRolePolicyDocument"]["Statement"][0]["Condition"] =
                json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } });
        }
        if !self.statements.is_empty() {
            properties["Policies"] = json!([{
                "PolicyName": "kingtide",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": self.statements.iter().map(Statement::json).collect::<Vec<_>>(),
                },
            }]);
        }
        if !self.policies.is_empty() {
            properties["ManagedPolicyArns"] = json!(self.policies);
        }
        if let Some(boundary) = &self.boundary {
            properties["PermissionsBoundary"] = json!(boundary);
        }
        let resource = Resource::new("AWS::IAM::Role", origin, properties);
        let reasons: Vec<&str> = self
            .statements
            .iter()
            .filter_map(|statement| statement.reason)
            .collect();
        match reasons.is_empty() {
            true => resource,
            false => resource.noted("why", reasons.join("; ")),
        }
    }
}

/// Nobody reaches it but over TLS.
pub fn only_over_tls(action: &str, resources: Vec<Json>) -> Json {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "OnlyOverTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": action,
            "Resource": resources,
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }],
    })
}

/// That one role is handed to tasks and to nothing else.
pub fn pass_to_tasks(roles: &[&LogicalId]) -> Statement {
    Statement::allow(&["iam:PassRole"], roles.iter().map(|role| role.arn())).when(json!({
        "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" },
    }))
}

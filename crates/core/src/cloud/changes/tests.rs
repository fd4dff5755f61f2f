//! One template against another.

use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn between(before: &Json, after: &Json) -> Changes {
    let none = BTreeMap::new();
    let side = |template| Side {
        template,
        parameters: &none,
    };
    Changes::between(Some(side(before)), side(after))
}

fn text(changes: &Changes) -> String {
    let mut text = String::new();
    for change in &changes.resources {
        let (word, differences) = match &change.what {
            What::Added => ("+".to_owned(), &[][..]),
            What::Removed { is_kept } => (format!("- kept: {is_kept}"), &[][..]),
            What::Changed(differences) => ("~".to_owned(), &differences[..]),
            What::Replaced { differences, is_kept } => (format!("± kept: {is_kept}"), &differences[..]),
        };
        let _ = writeln!(text, "{word} {} {}", change.id, change.kind);
        for of in differences {
            let side = |value: &Option<Json>| value.as_ref().map_or("nothing".to_owned(), short);
            let _ = writeln!(text, "    {}: {} → {}", of.path, side(&of.before), side(&of.after));
        }
    }
    for of in &changes.statements {
        let sign = if of.is_added { '+' } else { '-' };
        let _ = writeln!(
            text,
            "{sign} {} {} {:?} on {:?}",
            of.id, of.effect, of.actions, of.resources
        );
    }
    text
}

fn template() -> Json {
    json!({ "Resources": {
        "Queue": { "Type": "AWS::SQS::Queue", "Properties": {
            "VisibilityTimeout": 180,
            "RedrivePolicy": { "deadLetterTargetArn": { "Fn::GetAtt": ["Dead", "Arn"] }, "maxReceiveCount": 13 },
        }},
        "Dead": { "Type": "AWS::SQS::Queue", "Properties": { "MessageRetentionPeriod": 1_209_600 } },
        "Worker": { "Type": "AWS::ECS::TaskDefinition", "Properties": {
            "Cpu": "1024", "ContainerDefinitions": [{ "Image": { "Ref": "Image" } }] } },
        "Machine": { "Type": "AWS::StepFunctions::StateMachine", "Properties": {
            "DefinitionString": "{\"StartAt\":\"Dispatch\",\"TimeoutSeconds\":60}",
            "DefinitionSubstitutions": { "V0": { "Ref": "Worker" } } } },
        "Bucket": { "Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
            "Properties": { "BucketName": "a" } },
        "Role": { "Type": "AWS::IAM::Role", "Properties": { "Policies": [{ "PolicyDocument": { "Statement": [
            { "Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [{ "Fn::GetAtt": ["Queue", "Arn"] }] },
        ]}}]}},
    }})
}

#[test]
fn what_is_the_same_is_not_mentioned() {
    assert!(between(&template(), &template()).is_empty());
}

#[test]
fn what_differs_is_named_with_what_follows_from_it() {
    let before = template();
    let mut after = template();
    let resources = &mut after["Resources"];
    resources["Queue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] = json!(20);
    resources["Machine"]["Properties"]["DefinitionString"] = json!("{\"StartAt\":\"Dispatch\",\"TimeoutSeconds\":90}");
    resources["Worker"]["Properties"]["Cpu"] = json!("2048");
    resources["Bucket"]["Properties"]["BucketName"] = json!("b");
    resources["Alarm"] = json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": {} });
    resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"] = json!(["*"]);
    resources.as_object_mut().expect("resources").remove("Dead");
    insta::assert_snapshot!(text(&between(&before, &after)), @r#"
    + Alarm AWS::CloudWatch::Alarm
    ± kept: true Bucket AWS::S3::Bucket
        BucketName: a → b
    - kept: false Dead AWS::SQS::Queue
    ~ Machine AWS::StepFunctions::StateMachine
        DefinitionString.TimeoutSeconds: 60 → 90
        DefinitionSubstitutions: nothing → ${Worker}
    ~ Queue AWS::SQS::Queue
        RedrivePolicy.maxReceiveCount: 13 → 20
    ~ Role AWS::IAM::Role
        Policies.0.PolicyDocument.Statement.0.Resource.0: ${Queue.Arn} → *
    ± kept: false Worker AWS::ECS::TaskDefinition
        Cpu: 1024 → 2048
    - Role Allow ["sqs:SendMessage"] on ["${Queue.Arn}"]
    + Role Allow ["sqs:SendMessage"] on ["*"]
    "#);
}

#[test]
fn another_image_is_a_new_revision_and_reaches_the_machine() {
    let template = template();
    let image = |digest: &str| BTreeMap::from([("Image".to_owned(), digest.to_owned())]);
    let (before, after) = (image("a"), image("b"));
    let side = |parameters| Side {
        template: &template,
        parameters,
    };
    let changes = Changes::between(Some(side(&before)), side(&after));
    assert_eq!(
        text(&changes),
        "~ Machine AWS::StepFunctions::StateMachine\n    DefinitionSubstitutions: nothing → ${Worker}\n\
         ± kept: false Worker AWS::ECS::TaskDefinition\n    ContainerDefinitions: nothing → ${Image}\n"
    );
}

#[test]
fn where_there_was_nothing_all_is_added() {
    let none = BTreeMap::new();
    let template = template();
    let changes = Changes::between(
        None,
        Side {
            template: &template,
            parameters: &none,
        },
    );
    assert!(changes.resources.iter().all(|change| change.what == What::Added));
    assert_eq!((changes.resources.len(), changes.statements.len()), (6, 1));
}

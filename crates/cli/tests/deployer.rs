//! The policy that a deployer copies (`docs/deployer-policy.json`) allows what CloudFormation does for each type of resource that a stack can
//! have, by the resource types' own schemas, and nothing as wide as it need not be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kingtide_testkit::TestProject;
use serde_json::Value;

/// What the schemas name and our templates never cause, by the beginning of the action and why.
const NOT_ASKED: &[(&str, &str)] = &[
    (
        "kms:",
        "queues, bucket and logs are encrypted by keys of the services, which need no grant",
    ),
    ("lambda:", "a scalable target of Lambda"),
    ("s3tables:", "metadata tables of a bucket"),
    ("vpc-lattice:", "endpoints and target groups of VPC Lattice"),
    ("vpce:", "endpoints in other regions"),
    ("firehose:", "delivery of logs to Firehose"),
    (
        "autoscaling:CreateOrUpdateTags",
        "tags of a group of one's own behind a capacity provider",
    ),
    ("billing:", "views of billing for budgets"),
    ("managed-fleets:", "fleets of Auto Scaling"),
    ("elasticloadbalancing:", "load balancers of a service"),
    (
        "secretsmanager:CreateSecret",
        "a connection's secret is EventBridge's own, made by its linked role",
    ),
    ("secretsmanager:PutSecretValue", "the same"),
    ("secretsmanager:UpdateSecret", "the same"),
    (
        "secretsmanager:GetSecretValue",
        "a budget's or a connection's reference to a secret",
    ),
    ("ssm:Get", "launch templates that name an image by a parameter"),
    ("s3:REST.PUT.OBJECT", "no action of IAM"),
    (
        "s3:CreateBucketMetadataTableConfiguration",
        "metadata tables of a bucket",
    ),
    ("s3:UpdateBucketMetadata", "the same"),
    ("s3:DeleteBucketMetadataTableConfiguration", "the same"),
    ("s3:DeleteBucketWebsite", "a bucket that serves pages"),
    ("s3:DeleteBucketCors", "the same"),
    ("s3:DeleteBucketReplication", "copies in another region"),
    ("s3:DeleteBucketEncryption", "a bucket without encryption"),
    ("s3:DeleteBucketLifecycle", "is PutLifecycleConfiguration to IAM"),
    ("s3:DeleteBucketAnalyticsConfiguration", "analytics of a bucket"),
    ("s3:DeleteBucketMetricsConfiguration", "metrics of a bucket"),
    ("logs:CreateLogDelivery", "delivery of logs of state machines"),
    ("logs:UpdateLogDelivery", "the same"),
    ("logs:DeleteLogDelivery", "the same"),
    ("logs:GetLogDelivery", "the same"),
    ("logs:ListLogDeliveries", "the same"),
];

#[test]
fn the_policy_to_copy_allows_what_cloudformation_does_for_every_type_of_a_stack() {
    let Some(schemas) = schemas() else { return };
    let policy = policy();
    let allowed: BTreeSet<&str> = policy["Statement"]
        .as_array()
        .expect("statements")
        .iter()
        .flat_map(|statement| texts(&statement["Action"]))
        .collect();
    let providers = read(&schemas.join("providers/us-east-1.json"));
    let mut missing = BTreeSet::new();
    for kind in kinds() {
        let hash = providers[&kind]
            .as_str()
            .unwrap_or_else(|| panic!("{kind} is no type of a resource"));
        let schema = read(&schemas.join(format!("resources/{hash}.json")));
        let handlers =
            ["create", "read", "update", "delete"].map(|handler| &schema["handlers"][handler]["permissions"]);
        let asked: Vec<&str> = handlers.into_iter().flat_map(texts).collect();
        assert!(!asked.is_empty(), "{kind}: the schema says nothing of permissions");
        for action in asked {
            let is_ours = !NOT_ASKED.iter().any(|(prefix, _)| action.starts_with(prefix));
            if is_ours && !allowed.iter().any(|pattern| covers(pattern, action)) {
                missing.insert(format!("{action} ({kind})"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "docs/deployer-policy.json allows none of {missing:#?}"
    );
}

#[test]
fn the_policy_to_copy_allows_nothing_everywhere_that_could_be_narrowed() {
    for statement in policy()["Statement"].as_array().expect("statements") {
        if texts(&statement["Resource"]) != ["*"] {
            continue;
        }
        for action in texts(&statement["Action"]) {
            let (_, verb) = action.split_once(':').expect("service and action");
            let only_looks = ["Describe", "Get", "List", "Validate", "Simulate"]
                .iter()
                .any(|of| verb.starts_with(of));
            let is_cloudformations = statement["Condition"]["ForAnyValue:StringEquals"]["aws:CalledVia"].is_array();
            assert!(
                only_looks || is_cloudformations,
                "{action} everywhere, in {}",
                statement["Sid"]
            );
        }
    }
}

/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>)
#[test]
fn the_policy_to_copy_is_no_longer_than_a_managed_policy_may_be() {
    let text = policy().to_string();
    let characters = text.chars().filter(|character| !character.is_whitespace()).count();
    assert!(characters <= 6144, "{characters} characters");
}

/// Of every example, and of a project that has whatever a stack can have, in each of its environments.
fn kinds() -> BTreeSet<String> {
    let everything = include_str!("../../core/src/cloud/everything.toml");
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(everything);
    let environments: [&[&str]; 3] = [&[], &["--env", "prod"], &["--env", "closed"]];
    let mut templates: Vec<Value> = environments
        .iter()
        .map(|more| {
            project
                .run(&[&["synth", "--quiet"], *more].concat())
                .expect_code(0)
                .stdout
        })
        .map(|text| serde_json::from_str(&text).expect("JSON"))
        .collect();
    let examples = std::fs::read_dir(root().join("examples")).expect("examples");
    let files = examples.map(|entry| entry.expect("an entry").path().join("template.json"));
    templates.extend(files.filter(|file| file.exists()).map(|file| read(&file)));
    let of = |template: &Value| -> Vec<String> {
        let resources = template["Resources"].as_object().expect("resources").values();
        resources
            .map(|resource| resource["Type"].as_str().expect("a type").to_owned())
            .collect()
    };
    templates.iter().flat_map(of).collect()
}

/// `*` stands for anything.
fn covers(pattern: &str, action: &str) -> bool {
    match pattern.split_once('*') {
        Some((beginning, "")) => action.starts_with(beginning),
        Some(_) => panic!("{pattern}: only the end of an action may be left open"),
        None => pattern == action,
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn policy() -> Value {
    read(&root().join("docs/deployer-policy.json"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &Path) -> Value {
    let text = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Where `cargo xtask check` installs cfn-lint, which brings the schemas of all types along.
fn schemas() -> Option<PathBuf> {
    let folder = std::env::var_os("KINGTIDE_TEST_CLIENTS").map(PathBuf::from);
    let found = folder
        .map(|folder| folder.join("cfn-lint/cfnlint/data/schemas"))
        .filter(|folder| folder.exists());
    if found.is_none() {
        eprintln!("skipped: KINGTIDE_TEST_CLIENTS names no folder with cfn-lint; `cargo xtask check` installs it");
    }
    found
}

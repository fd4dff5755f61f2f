//! What is kept: the bucket (parameters, records of runs, results and outputs), which stays when the stack goes, and the repository of the
//! images that are made for the project. Both come first: what is built and handed over has to lie somewhere.

use serde_json::{Value as Json, json};

use super::iam;
use super::template::{LogicalId, Resource, Stack, sub};
use crate::project::Project;
use crate::project::aws::Aws;

const ORIGIN: &str = "aws";
/// Parts of uploads that nobody ended.
const UNFINISHED_DAYS: u32 = 7;
/// Images of earlier deployments, each job's and the worker's.
const IMAGES_KEPT: u32 = 100;

/// Where things are kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The bucket's name.
    pub(super) bucket: Json,
    pub(super) bucket_arn: Json,
    pub(super) repository: LogicalId,
}

/// The bucket and the repository; a bucket that exists is used as it is.
pub(super) fn place(stack: &mut Stack, project: &Project, aws: &Aws, tags: &Json) -> Place {
    let repository = stack.add(LogicalId::of("", "Repository"), repository(tags));
    let (bucket, bucket_arn) = match &aws.bucket {
        Some(name) => (json!(name), sub(&format!("arn:${{AWS::Partition}}:s3:::{name}"))),
        None => bucket(stack, project, tags),
    };
    Place {
        bucket,
        bucket_arn,
        repository,
    }
}

fn bucket(stack: &mut Stack, project: &Project, tags: &Json) -> (Json, Json) {
    let mut properties = json!({
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{ "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } }],
        },
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
        },
        "OwnershipControls": { "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] },
        "LifecycleConfiguration": {
            "Rules": [{
                "Id": "unfinished-uploads",
                "Status": "Enabled",
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": UNFINISHED_DAYS },
            }],
        },
        "Tags": tags,
    });
    // Triggers may watch it: what happens in it is told for nothing.
    if project.jobs.values().any(|job| !job.cloud.triggers.is_empty()) {
        properties["NotificationConfiguration"] = json!({ "EventBridgeConfiguration": { "EventBridgeEnabled": true } });
    }
    let resource = Resource::new("AWS::S3::Bucket", ORIGIN, properties).kept();
    let resource = resource.noted("idle", "0.023 USD a month for each GB that lies in it");
    let bucket = stack.add(LogicalId::of("", "Bucket"), resource);
    let objects = sub(&format!("${{{}.Arn}}/*", bucket.as_str()));
    let policy = json!({
        "Bucket": bucket.reference(),
        "PolicyDocument": iam::only_over_tls("s3:*", vec![bucket.arn(), objects]),
    });
    stack.add(
        LogicalId::of("", "BucketPolicy"),
        Resource::new("AWS::S3::BucketPolicy", ORIGIN, policy),
    );
    (bucket.reference(), bucket.arn())
}

/// What lies in it is made again from the file and the folder: it goes with the stack.
fn repository(tags: &Json) -> Resource {
    let keep = json!({
        "rules": [{
            "rulePriority": 1,
            "description": "images of earlier deployments",
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": IMAGES_KEPT },
            "action": { "type": "expire" },
        }],
    });
    let properties = json!({
        "EmptyOnDelete": true,
        "EncryptionConfiguration": { "EncryptionType": "AES256" },
        "ImageScanningConfiguration": { "ScanOnPush": true },
        // A tag is what an image was made from.
        "ImageTagMutability": "IMMUTABLE",
        "LifecyclePolicy": { "LifecyclePolicyText": keep.to_string() },
        "Tags": tags,
    });
    Resource::new("AWS::ECR::Repository", ORIGIN, properties).noted("idle", "0.10 USD a month for each GB of images")
}

//! The bucket: code, parameters, records of runs, results and outputs. It stays when the stack goes.

use serde_json::{Value as Json, json};

use super::iam;
use super::template::{LogicalId, Resource, Stack, sub};
use crate::project::aws::Aws;

const ORIGIN: &str = "aws";
/// Parts of uploads that nobody ended.
const UNFINISHED_DAYS: u32 = 7;

/// The bucket's name and its ARN; one that exists is used as it is.
pub(super) fn bucket(stack: &mut Stack, aws: &Aws, tags: &Json) -> (Json, Json) {
    if let Some(name) = &aws.bucket {
        return (json!(name), sub(&format!("arn:${{AWS::Partition}}:s3:::{name}")));
    }
    let properties = json!({
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
    let bucket = stack.add(
        LogicalId::of("", "Bucket"),
        Resource::new("AWS::S3::Bucket", ORIGIN, properties).kept(),
    );
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

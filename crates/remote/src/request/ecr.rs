//! Amazon ECR: where images are pushed, and which are there.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::endpoint::Service;
use super::errors::{Kind, RequestError};
use super::json::{JSON_1_1, Protocol};

const ECR: Protocol = Protocol {
    service: Service::Ecr,
    target: "AmazonEC2ContainerRegistry_V20150921",
    content_type: JSON_1_1,
};

/// Who may push for twelve hours. Not to be printed.
pub struct Login {
    /// `123456789012.dkr.ecr.eu-west-1.amazonaws.com`
    pub host: String,
    /// `AWS`
    pub user: String,
    /// Secret.
    pub password: String,
}

/// An image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// `sha256:…`
    pub image_digest: String,
    /// Its tags.
    #[serde(default)]
    pub image_tags: Vec<String>,
    /// Compressed.
    #[serde(default)]
    pub image_size_in_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginAnswer {
    authorization_data: Vec<Authorization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
    proxy_endpoint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImagesAnswer {
    #[serde(default)]
    image_details: Vec<Image>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchAnswer {
    #[serde(default)]
    images: Vec<Manifest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    image_manifest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerAnswer {
    download_url: String,
}

/// Logs in to the account's registry.
///
/// # Errors
/// Of any kind.
pub fn login(client: &Client) -> Result<Login, RequestError> {
    const OPERATION: &str = "ecr:GetAuthorizationToken";
    let answer: LoginAnswer = ECR.ask(client, OPERATION, &json!({}))?;
    let data = answer.authorization_data.into_iter().next();
    let data = data.ok_or_else(|| RequestError::odd(OPERATION, "it has no authorization"))?;
    let pair = STANDARD
        .decode(&data.authorization_token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = pair.as_deref().and_then(|text| text.split_once(':'));
    // What does not fit is not quoted: it is a secret.
    let (user, password) = pair.ok_or_else(|| RequestError::odd(OPERATION, "the token is none"))?;
    let host = data.proxy_endpoint.trim_start_matches("https://");
    Ok(Login {
        host: host.trim_start_matches("http://").to_owned(),
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// Makes a repository whose tags stay what they are; one that is there stays as it is. Whether it was made.
///
/// # Errors
/// Of any kind.
pub fn make(client: &Client, name: &str, tags: &[(String, String)]) -> Result<bool, RequestError> {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    let body = json!({
        "repositoryName": name,
        "imageTagMutability": "IMMUTABLE",
        "encryptionConfiguration": { "encryptionType": "AES256" },
        "tags": tags,
    });
    match ECR.ask::<Value>(client, "ecr:CreateRepository", &body) {
        Ok(_) => Ok(true),
        Err(error) if error.is(Kind::Exists) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes images that nothing wants any more once there are more than `keep`.
///
/// # Errors
/// Of any kind.
pub fn keep(client: &Client, repository: &str, keep: u32) -> Result<(), RequestError> {
    let policy = json!({
        "rules": [{
            "rulePriority": 1,
            "description": "old images",
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep },
            "action": { "type": "expire" },
        }],
    });
    let body = json!({ "repositoryName": repository, "lifecyclePolicyText": policy.to_string() });
    ECR.ask::<Value>(client, "ecr:PutLifecyclePolicy", &body).map(drop)
}

/// The image of a tag (or digest, which begins with `sha256:`).
///
/// # Errors
/// `NotFound` where there is no such image or repository.
pub fn image(client: &Client, repository: &str, tag: &str) -> Result<Image, RequestError> {
    const OPERATION: &str = "ecr:DescribeImages";
    let body = json!({ "repositoryName": repository, "imageIds": [id(tag)] });
    let answer: ImagesAnswer = ECR.ask(client, OPERATION, &body)?;
    let image = answer.image_details.into_iter().next();
    image.ok_or_else(|| RequestError {
        kind: Kind::NotFound,
        operation: OPERATION,
        code: String::new(),
        message: format!("there is no image `{repository}:{tag}`"),
        request_id: String::new(),
        tries: 1,
    })
}

/// All images of a repository.
///
/// # Errors
/// `NotFound` where there is no such repository.
pub fn images(client: &Client, repository: &str) -> Result<Vec<Image>, RequestError> {
    let mut images = Vec::new();
    let mut body = json!({ "repositoryName": repository });
    loop {
        let answer: ImagesAnswer = ECR.ask(client, "ecr:DescribeImages", &body)?;
        images.extend(answer.image_details);
        match answer.next_token.filter(|token| !token.is_empty()) {
            Some(token) => body["nextToken"] = json!(token),
            None => return Ok(images),
        }
    }
}

/// The manifest of an image, as the registry keeps it: JSON.
///
/// # Errors
/// `NotFound` where there is no such image or repository.
pub fn manifest(client: &Client, repository: &str, tag: &str) -> Result<Value, RequestError> {
    const OPERATION: &str = "ecr:BatchGetImage";
    let body = json!({ "repositoryName": repository, "imageIds": [id(tag)] });
    let answer: BatchAnswer = ECR.ask(client, OPERATION, &body)?;
    let manifest = answer.images.into_iter().next().unwrap_or(Manifest {
        image_manifest: String::new(),
    });
    serde_json::from_str(&manifest.image_manifest).map_err(|error| RequestError {
        kind: Kind::NotFound,
        ..RequestError::odd(OPERATION, error)
    })
}

/// The architecture in an image's configuration: `amd64`, `arm64`.
///
/// # Errors
/// `NotFound` where there is no such image, repository or configuration.
pub fn architecture(client: &Client, repository: &str, manifest: &Value) -> Result<String, RequestError> {
    const OPERATION: &str = "ecr:GetDownloadUrlForLayer";
    let digest = manifest["config"]["digest"].as_str().unwrap_or_default();
    let body = json!({ "repositoryName": repository, "layerDigest": digest });
    let answer: LayerAnswer = ECR.ask(client, OPERATION, &body)?;
    let configuration = client.plain(OPERATION, &answer.download_url, Duration::from_secs(30))?;
    let configuration: Value =
        serde_json::from_slice(&configuration).map_err(|error| RequestError::odd(OPERATION, error))?;
    Ok(configuration["architecture"].as_str().unwrap_or_default().to_owned())
}

/// Removes a repository with all its images; one that is not there is no error.
///
/// # Errors
/// Of any kind.
pub fn remove(client: &Client, name: &str) -> Result<(), RequestError> {
    let body = json!({ "repositoryName": name, "force": true });
    match ECR.ask::<Value>(client, "ecr:DeleteRepository", &body) {
        Ok(_) => Ok(()),
        Err(error) if error.is(Kind::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn id(tag: &str) -> Value {
    match tag.starts_with("sha256:") {
        true => json!({ "imageDigest": tag }),
        false => json!({ "imageTag": tag }),
    }
}

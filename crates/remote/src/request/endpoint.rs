//! Where a service of AWS is asked, by region; or where the environment says, as with all SDKs: `AWS_ENDPOINT_URL_<SERVICE>`, and
//! `AWS_ENDPOINT_URL` for all.

use thiserror::Error;

/// The environment: a variable's value. A closure, because variables change in tests only.
pub type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A service that is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "they are named as AWS names them")]
pub enum Service {
    CloudFormation,
    CloudWatch,
    Ec2,
    Ecr,
    Ecs,
    Events,
    Iam,
    Logs,
    Pricing,
    Quotas,
    S3,
    Sqs,
    States,
    Sts,
}

/// Where it is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// `https`, or `http` where the environment says so.
    pub scheme: String,
    /// Host, and port where it is not the scheme's own.
    pub host: String,
    /// In front of all paths; empty, or `/prefix`.
    pub path: String,
    /// The region that a signature names.
    pub region: String,
    /// The environment said so: buckets are part of the path then.
    pub is_given: bool,
}

/// An address of the environment that is none.
#[derive(Debug, Error)]
#[error("`{variable}` is `{value}`, which is no address: it begins with http:// or https://, and has a host")]
pub struct EndpointError {
    variable: String,
    value: String,
}

impl Service {
    /// What signatures call it.
    pub fn signing_name(self) -> &'static str {
        match self {
            Service::CloudFormation => "cloudformation",
            Service::CloudWatch => "monitoring",
            Service::Ec2 => "ec2",
            Service::Ecr => "ecr",
            Service::Ecs => "ecs",
            Service::Events => "events",
            Service::Iam => "iam",
            Service::Logs => "logs",
            Service::Pricing => "pricing",
            Service::Quotas => "servicequotas",
            Service::S3 => "s3",
            Service::Sqs => "sqs",
            Service::States => "states",
            Service::Sts => "sts",
        }
    }

    /// The end of `AWS_ENDPOINT_URL_<SERVICE>`: the service's id in AWS's models.
    fn variable(self) -> &'static str {
        match self {
            Service::CloudFormation => "CLOUDFORMATION",
            Service::CloudWatch => "CLOUDWATCH",
            Service::Ec2 => "EC2",
            Service::Ecr => "ECR",
            Service::Ecs => "ECS",
            Service::Events => "EVENTBRIDGE",
            Service::Iam => "IAM",
            Service::Logs => "CLOUDWATCH_LOGS",
            Service::Pricing => "PRICING",
            Service::Quotas => "SERVICE_QUOTAS",
            Service::S3 => "S3",
            Service::Sqs => "SQS",
            Service::States => "SFN",
            Service::Sts => "STS",
        }
    }

    /// The endpoint in a region; the environment may say another.
    ///
    /// # Errors
    /// When what the environment says is no address.
    pub fn endpoint(self, region: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Endpoint, EndpointError> {
        let own = format!("AWS_ENDPOINT_URL_{}", self.variable());
        for variable in [own.as_str(), "AWS_ENDPOINT_URL"] {
            if let Some(value) = env(variable).filter(|value| !value.is_empty()) {
                return given(variable, &value, &self.signed_region(region));
            }
        }
        Ok(self.regional(region))
    }

    /// AWS's own.
    fn regional(self, region: &str) -> Endpoint {
        let suffix = suffix(region);
        let signed = self.signed_region(region);
        let host = match self {
            Service::Ecr => format!("api.ecr.{region}.{suffix}"),
            Service::Iam if region.starts_with("cn-") => format!("iam.{signed}.{suffix}"),
            Service::Iam if region.starts_with("us-gov-") => format!("iam.us-gov.{suffix}"),
            Service::Iam => format!("iam.{suffix}"),
            Service::Pricing => format!("api.pricing.{signed}.{suffix}"),
            other => format!("{}.{region}.{suffix}", other.signing_name()),
        };
        Endpoint {
            scheme: "https".to_owned(),
            host,
            path: String::new(),
            region: signed,
            is_given: false,
        }
    }

    /// Two services are in few places, and sign for those.
    fn signed_region(self, region: &str) -> String {
        let china = region.starts_with("cn-");
        let text = match self {
            Service::Iam if china => "cn-north-1",
            Service::Iam if region.starts_with("us-gov-") => "us-gov-west-1",
            Service::Iam => "us-east-1",
            Service::Pricing if china => "cn-northwest-1",
            Service::Pricing => "us-east-1",
            _ => region,
        };
        text.to_owned()
    }
}

/// `aws`, `aws-cn`, `aws-us-gov`: the second part of ARNs.
pub fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn suffix(region: &str) -> &'static str {
    match partition(region) {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    }
}

fn given(variable: &str, value: &str, region: &str) -> Result<Endpoint, EndpointError> {
    let wrong = || EndpointError {
        variable: variable.to_owned(),
        value: value.to_owned(),
    };
    let (scheme, rest) = value.split_once("://").ok_or_else(wrong)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |text: &str| !text.contains(['?', '#', '@', ' ']);
    if !matches!(scheme, "http" | "https") || host.is_empty() || !is_plain(rest) {
        return Err(wrong());
    }
    let path = path.trim_end_matches('/');
    Ok(Endpoint {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        path: if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        },
        region: region.to_owned(),
        is_given: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: Service, region: &str) -> String {
        let endpoint = service.endpoint(region, &|_| None).expect("regional");
        format!("{}://{} {}", endpoint.scheme, endpoint.host, endpoint.region)
    }

    #[test]
    fn each_partition_has_its_own() {
        assert_eq!(
            of(Service::Sqs, "eu-west-1"),
            "https://sqs.eu-west-1.amazonaws.com eu-west-1"
        );
        assert_eq!(
            of(Service::S3, "cn-north-1"),
            "https://s3.cn-north-1.amazonaws.com.cn cn-north-1"
        );
        assert_eq!(of(Service::Iam, "eu-west-1"), "https://iam.amazonaws.com us-east-1");
        assert_eq!(
            of(Service::Iam, "us-gov-east-1"),
            "https://iam.us-gov.amazonaws.com us-gov-west-1"
        );
        assert_eq!(
            of(Service::Iam, "cn-northwest-1"),
            "https://iam.cn-north-1.amazonaws.com.cn cn-north-1"
        );
        assert_eq!(
            of(Service::Ecr, "us-gov-west-1"),
            "https://api.ecr.us-gov-west-1.amazonaws.com us-gov-west-1"
        );
        assert_eq!(
            of(Service::Pricing, "eu-west-1"),
            "https://api.pricing.us-east-1.amazonaws.com us-east-1"
        );
    }

    #[test]
    fn the_environment_comes_first_and_a_services_own_variable_before_the_common_one() {
        let env = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:4566/".to_owned()),
            "AWS_ENDPOINT_URL_S3" => Some("https://minio.local/base".to_owned()),
            "AWS_ENDPOINT_URL_SQS" => Some("elasticmq".to_owned()),
            _ => None,
        };
        let states = Service::States.endpoint("eu-west-1", &env).expect("an address");
        assert_eq!((states.host.as_str(), states.path.as_str()), ("127.0.0.1:4566", ""));
        let s3 = Service::S3.endpoint("eu-west-1", &env).expect("an address");
        assert_eq!(
            (s3.host.as_str(), s3.path.as_str(), s3.is_given),
            ("minio.local", "/base", true)
        );
        let wrong = Service::Sqs.endpoint("eu-west-1", &env).expect_err("none");
        assert!(
            wrong.to_string().contains("`AWS_ENDPOINT_URL_SQS` is `elasticmq`"),
            "{wrong}"
        );
    }
}

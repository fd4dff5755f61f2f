//! Messages of a queue, worked off by containers: what CDK's `QueueProcessingFargateService` is for.

use std::time::Duration;

use serde_json::json;

use crate::file::File;
use crate::template::{Refused, Template};

/// Where a container's image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// One that is in a registry.
    Named(String),
    /// One that is built from a folder with a Dockerfile; the template has a parameter for it.
    Folder(String),
}

/// What begins a run of a burst when a message is sent while none is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doorbell {
    /// What `kingtide send` sends, within seconds.
    Pipe,
    /// Whoever sends, within 1 to 15 minutes.
    Alarm,
}

/// A queue, its dead letters, and containers that work it off.
#[derive(Clone, Debug)]
pub struct QueueProcessing {
    file: File,
}

impl Image {
    pub fn named(name: &str) -> Image {
        Image::Named(name.to_owned())
    }

    pub fn folder(folder: &str) -> Image {
        Image::Folder(folder.to_owned())
    }
}

impl QueueProcessing {
    /// A steady stream: the program reads the queue itself, as CDK's does. As many tasks as there are messages, none when there are none, and
    /// none is ended that holds one.
    pub fn service(name: &str, image: Image) -> QueueProcessing {
        let mut of = QueueProcessing::new(name, image);
        of.file.job("service", true);
        of.file.job("mode", "consumer");
        of
    }

    /// A burst: the program runs once for each message and knows of no queue. All of it is done by the deadline, and nothing runs in between.
    pub fn burst(name: &str, image: Image) -> QueueProcessing {
        QueueProcessing::new(name, image)
    }

    fn new(name: &str, image: Image) -> QueueProcessing {
        let mut file = File::new(name);
        match image {
            Image::Named(name) => file.job("image", name),
            Image::Folder(folder) => file.job("build", folder),
        }
        QueueProcessing { file }
    }

    /// The template.
    ///
    /// # Errors
    /// Everything that AWS would refuse, each with what to do.
    pub fn template(&self) -> Result<Template, Refused> {
        self.file.template()
    }

    /// The `kingtide.toml` that it stands for: with it the same runs on one machine.
    pub fn project_file(&self) -> String {
        self.file.text()
    }

    /// What the image's entrypoint is handed; of a burst, `{name}` is filled from the message.
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> QueueProcessing {
        self.file.job("command", list(words));
        self
    }

    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> QueueProcessing {
        self.file.job("entrypoint", list(words));
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> QueueProcessing {
        self.file.job_entry("env", name, value);
        self
    }

    /// A variable whose value lies in Secrets Manager or SSM.
    pub fn secret(mut self, name: &str, arn: &str) -> QueueProcessing {
        self.file.job_item("secrets", name);
        self.file.aws_entry("secrets", name, arn);
        self
    }

    /// Cores of one task; fractions are allowed.
    pub fn cpu(mut self, cores: f64) -> QueueProcessing {
        self.file.job("cpu", cores);
        self
    }

    pub fn memory_mib(mut self, mib: u64) -> QueueProcessing {
        self.file.job("memory", format!("{mib}MiB"));
        self
    }

    /// Of a burst: what was killed for want of memory is tried again with twice as much, up to this.
    pub fn memory_max_mib(mut self, mib: u64) -> QueueProcessing {
        self.file.job("memory_max", format!("{mib}MiB"));
        self
    }

    /// Of a burst, on instances that are there for as long as its tasks are.
    pub fn gpus(mut self, gpus: u32) -> QueueProcessing {
        self.file.job("gpus", gpus);
        self
    }

    pub fn ephemeral_storage_gib(mut self, gib: u64) -> QueueProcessing {
        self.file.job("disk", format!("{gib}GiB"));
        self
    }

    pub fn user(mut self, user: &str) -> QueueProcessing {
        self.file.job("user", user);
        self
    }

    /// How many tasks at once, at most.
    pub fn max_workers(mut self, most: u32) -> QueueProcessing {
        self.file.job("max_workers", most);
        self
    }

    /// How many failed attempts are followed by another, before a message is a dead letter. What is lost with the infrastructure costs none.
    pub fn retries(mut self, retries: u32) -> QueueProcessing {
        self.file.job("retries", retries);
        self
    }

    /// Of a burst: the longest that an attempt may take.
    pub fn timeout(mut self, timeout: Duration) -> QueueProcessing {
        self.file.job("timeout", format!("{}ms", timeout.as_millis()));
        self
    }

    /// Of a burst: by when all of a run is done, counted from its start. As many tasks are started as it takes.
    pub fn deadline(mut self, deadline: Duration) -> QueueProcessing {
        self.file.job("deadline", format!("{}ms", deadline.as_millis()));
        self
    }

    /// Of a burst: no new task is started past so many dollars.
    pub fn max_cost(mut self, dollars: f64) -> QueueProcessing {
        self.file.job("max_cost", dollars);
        self
    }

    /// Of a burst: objects that arrive below a prefix start a run.
    pub fn trigger(mut self, bucket: &str, prefix: &str) -> QueueProcessing {
        self.file
            .job_item("triggers", json!({ "object": format!("s3://{bucket}/{prefix}") }));
        self
    }

    /// Of a burst: a message that is sent starts a run.
    pub fn doorbell(mut self, doorbell: Doorbell) -> QueueProcessing {
        let word = match doorbell {
            Doorbell::Pipe => "pipe",
            Doorbell::Alarm => "alarm",
        };
        self.file.job("doorbell", word);
        self
    }

    /// A policy that lets the program do what it has to.
    pub fn policy(mut self, arn: &str) -> QueueProcessing {
        self.file.job_item("policies", arn);
        self
    }

    /// Who is told of dead letters, and of runs that fail or are late.
    pub fn alarm_email(mut self, address: &str) -> QueueProcessing {
        self.file.alarm("email", address);
        self
    }

    /// A VPC that exists; else one is made, with two public subnets and no NAT gateway.
    pub fn vpc<S: Into<String>>(mut self, vpc: &str, subnets: impl IntoIterator<Item = S>) -> QueueProcessing {
        self.file.aws("vpc", vpc);
        self.file.aws("subnets", list(subnets));
        self
    }

    pub fn security_groups<S: Into<String>>(mut self, groups: impl IntoIterator<Item = S>) -> QueueProcessing {
        self.file.aws("security_groups", list(groups));
        self
    }

    /// In a VPC that exists: whether tasks get a public address.
    pub fn assign_public_ip(mut self, assign: bool) -> QueueProcessing {
        self.file.aws("public_ip", assign);
        self
    }

    /// A bucket that exists, for records and outputs; else one is made.
    pub fn bucket(mut self, name: &str) -> QueueProcessing {
        self.file.aws("bucket", name);
        self
    }

    /// On Spot capacity; of a burst, where a repetition still fits before the deadline.
    pub fn spot(mut self) -> QueueProcessing {
        self.file.aws("spot", true);
        self
    }

    pub fn arm64(mut self) -> QueueProcessing {
        self.file.aws("architecture", "arm64");
        self
    }

    pub fn tag(mut self, name: &str, value: &str) -> QueueProcessing {
        self.file.aws_entry("tags", name, value);
        self
    }

    pub fn permissions_boundary(mut self, arn: &str) -> QueueProcessing {
        self.file.aws("permissions_boundary", arn);
        self
    }

    pub fn log_retention_days(mut self, days: u32) -> QueueProcessing {
        self.file.aws("log_retention", format!("{days}d"));
        self
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

pub(crate) fn list<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Vec<String> {
    words.into_iter().map(Into::into).collect()
}

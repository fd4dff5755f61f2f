//! What exactly is to be started: an attempt or an instance of a consumer, as a process or as a container.

use kingtide_core::contract::{self, Invocation};
use kingtide_core::engine::event::{Employ, Host, Start};
use kingtide_core::id::TaskId;
use kingtide_core::message::Message;
use kingtide_core::project::{Container, Job};
use kingtide_core::time::milliseconds;
use kingtide_exec::wire;

use super::{Actuators, Context};
use crate::docker::{ContainerStart, Image, Mount};
use crate::keeper;
use crate::surroundings::Prepared;

/// To the one or the other host.
pub(super) enum Order {
    Process(Box<wire::Start>),
    Container(Box<ContainerStart>),
}

/// What is the same for attempts and instances.
struct Occupation<'a> {
    name: String,
    pool: String,
    limit: u32,
    memory: Option<u64>,
    gpus: &'a [u32],
    log: std::path::PathBuf,
    timeout_ms: Option<u64>,
    message_file: Option<std::path::PathBuf>,
}

impl Actuators {
    /// An attempt.
    pub(super) fn order(&mut self, start: &Start) -> Result<Order, String> {
        let attempt = start.attempt;
        let message = self.messages.remove(&attempt.task).ok_or("its message is gone")?;
        let Context { job, name, .. } = self.contexts.get(&attempt.task.run).ok_or("its run is gone")?;
        let prepared = self.prepared.get(&job.name).ok_or("its job is not ready")?;
        let inherits = |variable: &str| self.inherits(prepared, variable);
        let invocation =
            contract::invocation(job, &message, attempt, name, inherits).map_err(|missing| missing.to_string())?;
        let message_file = match invocation.message_file {
            true => Some(self.message_file(attempt.task, &message)?),
            false => None,
        };
        let occupation = Occupation {
            name: attempt.to_string(),
            pool: keeper::pool(start.pool),
            limit: start.limit,
            memory: start.memory,
            gpus: &start.gpus,
            log: self.layout.log(&job.name, attempt),
            timeout_ms: job.timeout.map(milliseconds),
            message_file,
        };
        Ok(self.order_of(job, prepared, invocation, occupation))
    }

    /// An instance of a consumer.
    pub(super) fn instance(&mut self, employ: &Employ) -> Result<Order, String> {
        let instance = employ.instance;
        let (job, host) = self.consumers.get(&employ.job).ok_or("its job is gone")?;
        self.instances.insert(instance, *host);
        let prepared = self.prepared.get(&job.name).ok_or("its job is not ready")?;
        let endpoint = self.endpoint.as_ref().ok_or("the queues listen nowhere")?;
        let address = match host {
            Host::Docker => {
                let port = endpoint
                    .bridge
                    .ok_or("the queues do not listen where containers reach them")?;
                format!("host.docker.internal:{port}")
            }
            Host::Keeper | Host::Outside => endpoint.loopback.to_string(),
        };
        let (access_key, secret) = self.keys.of(instance);
        let queue = contract::Queue {
            name: &job.name,
            endpoint: &format!("http://{address}"),
            region: &endpoint.region,
            access_key: &access_key,
            secret: &secret,
        };
        let inherits = |variable: &str| self.inherits(prepared, variable);
        let invocation = contract::consumer(job, instance, &queue, inherits).map_err(|missing| missing.to_string())?;
        let occupation = Occupation {
            name: instance.attempt().to_string(),
            pool: format!("i{instance}"),
            limit: 1,
            memory: employ.memory,
            gpus: &employ.gpus,
            log: self.layout.consumer_log(&job.name, instance),
            timeout_ms: None,
            message_file: None,
        };
        Ok(self.order_of(job, prepared, invocation, occupation))
    }

    fn inherits(&self, prepared: &Prepared, variable: &str) -> bool {
        match &prepared.image {
            Some(image) => image.sets(variable),
            None => self.inherited.contains_key(variable),
        }
    }

    fn order_of(&self, job: &Job, prepared: &Prepared, invocation: Invocation, of: Occupation<'_>) -> Order {
        match (job.container(), &prepared.image) {
            (Some(container), Some(image)) => Order::Container(Box::new(
                self.container(job, container, image, prepared, invocation, of),
            )),
            _ => Order::Process(Box::new(self.process(job, prepared, invocation, of))),
        }
    }

    fn process(&self, job: &Job, prepared: &Prepared, invocation: Invocation, of: Occupation<'_>) -> wire::Start {
        let mut env = invocation.env;
        if let Some(file) = of.message_file {
            env.push(("KINGTIDE_MESSAGE_FILE".to_owned(), file.to_string_lossy().into_owned()));
        }
        if !of.gpus.is_empty() {
            let gpus: Vec<String> = of.gpus.iter().map(u32::to_string).collect();
            env.push(("CUDA_VISIBLE_DEVICES".to_owned(), gpus.join(",")));
        }
        env.extend(prepared.env.iter().cloned());
        let workdir = match &job.workdir {
            Some(folder) => self.layout.project().join(folder),
            None => self.layout.project().to_owned(),
        };
        wire::Start {
            attempt: of.name,
            pool: of.pool,
            limit: of.limit,
            argv: invocation.argv,
            workdir: workdir.to_string_lossy().into_owned(),
            env,
            memory: of.memory,
            timeout_ms: of.timeout_ms,
            stop_timeout_ms: milliseconds(job.stop_timeout),
            log: of.log.to_string_lossy().into_owned(),
            log_limit: self.log_limit,
        }
    }

    fn container(
        &self,
        job: &Job,
        container: &Container,
        image: &Image,
        prepared: &Prepared,
        invocation: Invocation,
        of: Occupation<'_>,
    ) -> ContainerStart {
        let mount = |mount: &kingtide_core::project::Mount| Mount {
            source: self.layout.project().join(&mount.source),
            target: mount.target.clone(),
            read_only: mount.read_only,
        };
        let mut env = invocation.env;
        env.extend(prepared.env.iter().cloned());
        ContainerStart {
            attempt: of.name,
            image: image.clone(),
            entrypoint: container.entrypoint.clone(),
            args: invocation.argv,
            workdir: job.workdir.clone(),
            env,
            message_file: of.message_file,
            mounts: container.mounts.iter().map(mount).collect(),
            user: container.user.clone(),
            shm_size: container.shm_size,
            cpu_milli: job.resources.cpu_milli,
            memory: of.memory,
            gpus: of.gpus.to_vec(),
            timeout_ms: of.timeout_ms,
            stop_timeout_ms: milliseconds(job.stop_timeout),
            log: of.log,
            log_limit: self.log_limit,
            labels: vec![("kingtide.job".to_owned(), job.name.clone())],
        }
    }

    fn message_file(&self, task: TaskId, message: &Message) -> Result<std::path::PathBuf, String> {
        let folder = self.layout.messages(task.run);
        let file = folder.join(format!("{}.json", task.seq));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&file, message.body()))
            .map_err(|error| format!("its message cannot be written to `{}`: {error}", file.display()))?;
        Ok(file)
    }
}

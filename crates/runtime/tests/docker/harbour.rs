//! A project of a test: its handle, what was told, and what the engine holds for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use kingtide_core::project::{Build, ImageSource};
use kingtide_exec::wire::{Exited, Report, StopReason, Usage};
use kingtide_runtime::docker::{ContainerStart, Context, Docker, DockerError, Held, Image, Told};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// An engine that is busy with other tests needs seconds to start a container.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Names an engine for tests.
const VARIABLE: &str = "KINGTIDE_TEST_DOCKER";
const BUSYBOX: &str = "/bin/busybox";

/// A project of its own at a real engine.
pub(crate) struct Harbour {
    pub(crate) runtime: Runtime,
    folder: TempDir,
    project_id: String,
    told: Receiver<Told>,
    docker: Option<Docker>,
    /// Of the engine, once it was found.
    socket: PathBuf,
    /// What was told and not yet asked for.
    kept: Vec<Told>,
}

/// `None`, with the reason on stderr, where containers cannot be tested.
pub(crate) fn harbour() -> Option<Harbour> {
    let folder = tempfile::tempdir().expect("a folder");
    // Hex digits that no other test has.
    let unique = folder
        .path()
        .to_string_lossy()
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let project_id = unique.chars().rev().take(40).collect();
    let runtime = Runtime::new().expect("a runtime");
    let mut harbour = Harbour {
        runtime,
        folder,
        project_id,
        told: mpsc::channel().1,
        docker: None,
        socket: PathBuf::new(),
        kept: Vec::new(),
    };
    if !Path::new(BUSYBOX).exists() {
        eprintln!("skipped: there is no `{BUSYBOX}` (Debian: busybox-static)");
        return None;
    }
    match harbour.connect(1) {
        Ok(held) => assert_eq!(held, Held::default()),
        Err(error) => {
            eprintln!("skipped: {error}; {}", error.advice());
            return None;
        }
    }
    Some(harbour)
}

impl Harbour {
    /// `.kingtide`
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(".kingtide")
    }

    pub(crate) fn project(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn project_id(&self) -> &str {
        &self.project_id
    }

    pub(crate) fn context(&self, epoch: i64) -> Context {
        Context {
            project_id: self.project_id.clone(),
            epoch,
            root: self.root(),
            secrets: vec!["hunter2".to_owned()],
            host: std::env::var(VARIABLE).ok(),
            keep: Vec::new(),
        }
    }

    /// Connects as a runtime of this epoch; an earlier one of this test is gone, as if it had been killed.
    pub(crate) fn connect(&mut self, epoch: i64) -> Result<Held, DockerError> {
        self.leave();
        let (docker, held, told) = self.visit(epoch)?;
        self.socket = docker.socket();
        self.docker = Some(docker);
        self.told = told;
        Ok(held)
    }

    /// Another runtime beside the one there is.
    pub(crate) fn visit(&self, epoch: i64) -> Result<(Docker, Held, Receiver<Told>), DockerError> {
        let (sender, told) = mpsc::channel();
        let tell = move |told| drop(sender.send(told));
        let (docker, held) = Docker::connect(self.runtime.handle(), self.context(epoch), tell)?;
        Ok((docker, held, told))
    }

    /// The runtime is no more; containers go on.
    pub(crate) fn leave(&mut self) {
        self.docker = None;
        self.kept.clear();
    }

    pub(crate) fn docker(&self) -> &Docker {
        self.docker.as_ref().expect("connected")
    }

    /// An image with busybox in it.
    pub(crate) fn busybox(&self) -> Image {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(BUSYBOX, folder.path().join("busybox")).expect("copied");
        let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nENV FROM_IMAGE=yes\n";
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).expect("written");
        self.image(folder.path())
    }

    /// The image of a folder.
    pub(crate) fn image(&self, folder: &Path) -> Image {
        let source = ImageSource::Built(Build {
            context: ".".to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            args: std::collections::BTreeMap::new(),
            target: None,
        });
        let mut said = Vec::new();
        self.docker()
            .ensure_image("test-busybox", &source, folder, &mut |line| said.push(line))
            .unwrap_or_else(|error| panic!("{error}\n{}", said.join("\n")))
    }

    /// An attempt that runs a shell script.
    pub(crate) fn script(&self, attempt: &str, script: &str) -> ContainerStart {
        ContainerStart {
            attempt: attempt.to_owned(),
            image: self.busybox(),
            entrypoint: None,
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            workdir: None,
            env: Vec::new(),
            message_file: None,
            mounts: Vec::new(),
            user: None,
            shm_size: None,
            cpu_milli: 1000,
            memory: None,
            gpus: Vec::new(),
            timeout_ms: None,
            stop_timeout_ms: 10_000,
            log: self.log_path(attempt),
            log_limit: 1 << 20,
            labels: Vec::new(),
        }
    }

    pub(crate) fn log_path(&self, attempt: &str) -> PathBuf {
        self.root()
            .join("logs")
            .join(format!("{}.log", attempt.replace('/', ".")))
    }

    /// The lines of a log, without their times.
    pub(crate) fn log(&self, attempt: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.log_path(attempt)).unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').map_or("", |(_, line)| line).to_owned())
            .collect()
    }

    /// Waits until something told is what is looked for.
    pub(crate) fn await_told<T>(&mut self, what: &str, mut is_it: impl FnMut(&Told) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        if let Some(place) = self.kept.iter().position(|told| is_it(told).is_some()) {
            let told = self.kept.remove(place);
            return is_it(&told).expect("it was a moment ago");
        }
        loop {
            match self.told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(told) => match is_it(&told) {
                    Some(found) => return found,
                    None => self.kept.push(told),
                },
                Err(_) => panic!("no {what} came; told was {:#?}", self.kept),
            }
        }
    }

    pub(crate) fn await_report<T>(&mut self, what: &str, mut is_it: impl FnMut(&Report) -> Option<T>) -> T {
        self.await_told(what, |told| match told {
            Told::Reports(reports) => reports.iter().find_map(&mut is_it),
            Told::Lost(_) | Told::Said(_) | Told::Gone => None,
        })
    }

    pub(crate) fn await_exit(&mut self, attempt: &str) -> Exited {
        self.await_report("exit", |report| match report {
            Report::Exited(exited) if exited.attempt == attempt => Some((**exited).clone()),
            _ => None,
        })
    }

    pub(crate) fn await_start(&mut self, attempt: &str) {
        self.await_report("start", |report| match report {
            Report::Started { attempt: started, .. } if started == attempt => Some(()),
            _ => None,
        });
    }

    pub(crate) fn await_sample(&mut self, attempt: &str) -> Usage {
        self.await_report("sample", |report| match report {
            Report::Sample {
                attempt: sampled,
                usage,
            } if sampled == attempt => Some(*usage),
            _ => None,
        })
    }

    /// Waits until a line is in the log.
    pub(crate) fn await_line(&self, attempt: &str, line: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.log(attempt).iter().any(|written| written == line) {
            assert!(Instant::now() < until, "no line `{line}` in {:?}", self.log(attempt));
            // A file tells nobody that it was written to.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(&mut self, start: ContainerStart) -> Exited {
        let attempt = start.attempt.clone();
        self.docker().start(start);
        self.await_exit(&attempt)
    }

    pub(crate) fn stop(&self, attempt: &str, reason: StopReason) {
        self.docker().stop(vec![attempt.to_owned()], reason);
    }

    /// Where the engine is.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The engine, without Kingtide in between.
    pub(crate) fn engine(&self) -> bollard::Docker {
        let path = self.socket.to_string_lossy();
        let client = bollard::Docker::connect_with_unix(&path, 60, bollard::API_DEFAULT_VERSION).expect("there");
        self.runtime.block_on(client.negotiate_version()).expect("it answers")
    }

    /// Names of the project's containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let label = format!("kingtide.project={}", self.project_id);
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let listed = self
            .runtime
            .block_on(self.engine().list_containers(Some(options)))
            .expect("it answers");
        let mut names: Vec<String> = listed
            .into_iter()
            .filter_map(|one| one.names?.into_iter().next())
            .collect();
        names.sort();
        names
    }

    /// As somebody else would: `docker rm --force`.
    pub(crate) fn remove_containers(&self) {
        for name in self.containers() {
            let options = RemoveContainerOptions {
                force: true,
                v: true,
                ..RemoveContainerOptions::default()
            };
            let name = name.trim_start_matches('/');
            // It may be going by itself.
            let _ = self
                .runtime
                .block_on(self.engine().remove_container(name, Some(options)));
        }
    }

    /// Waits until the engine holds so many containers of the project.
    pub(crate) fn await_containers(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        while self.containers().len() != count {
            assert!(Instant::now() < until, "there are {:?}", self.containers());
            // Another's removal is not told to us here.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Work folders of containers.
    pub(crate) fn work_folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root().join("work")).into_iter().flatten();
        entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Returns when container and folder are gone.
    pub(crate) fn acknowledge(&self, attempt: &str) {
        self.docker().acknowledge(vec![attempt.to_owned()]);
        self.docker().settle(PATIENCE);
    }
}

impl Drop for Harbour {
    fn drop(&mut self) {
        if self.socket.as_os_str().is_empty() {
            return;
        }
        self.docker = None;
        // What a failed test has left.
        self.remove_containers();
    }
}

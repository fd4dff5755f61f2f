//! An engine that is not there, goes, or comes back. It is behind a socket of our own here, so that it can be cut off.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kingtide_exec::wire::{End, Report};
use kingtide_runtime::docker::{Context, Docker, DockerError, Told};

use crate::harbour::{PATIENCE, harbour};

/// Hands connections on to the engine until it is cut.
struct Cable {
    socket: PathBuf,
    ends: Arc<Mutex<Vec<UnixStream>>>,
}

impl Cable {
    fn lay(socket: &Path, engine: &Path) -> Cable {
        let listener = UnixListener::bind(socket).expect("free");
        let ends: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
        let (kept, engine) = (Arc::clone(&ends), engine.to_owned());
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = UnixStream::connect(&engine).expect("it listens");
                let copy = |from: &UnixStream, to: &UnixStream| {
                    let (mut from, mut to) = (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                };
                copy(&near, &far);
                copy(&far, &near);
                kept.lock().expect("unharmed").extend([near, far]);
            }
        });
        Cable {
            socket: socket.to_owned(),
            ends,
        }
    }

    /// Nobody gets through from now on.
    fn cut(&self) {
        std::fs::rename(&self.socket, self.socket.with_extension("cut")).expect("there");
        for end in self.ends.lock().expect("unharmed").drain(..) {
            let _ = end.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mend(&self) {
        std::fs::rename(self.socket.with_extension("cut"), &self.socket).expect("there");
    }
}

#[test]
fn a_connection_that_is_lost_is_made_anew_and_nothing_is_missed() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script(
        "1/1/1",
        "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.05; done",
    );
    let cable = Cable::lay(
        &harbour.project().join("cable.sock"),
        Path::new(harbour.host().trim_start_matches("unix://")),
    );
    let context = Context {
        host: Some(format!("unix://{}", cable.socket.display())),
        ..harbour.context(2)
    };
    harbour.leave();
    let (sender, told) = mpsc::channel();
    let (docker, _) =
        Docker::connect(harbour.runtime.handle(), context, move |told| drop(sender.send(told))).expect("through");
    docker.start(start);
    harbour.await_line("1/1/1", "line 3");
    cable.cut();
    let mut said = Vec::new();
    let next = || told.recv_timeout(PATIENCE).expect("told");
    while said.is_empty() {
        if let Told::Said(line) = next() {
            said.push(line);
        }
    }
    cable.mend();
    let exited = loop {
        match next() {
            Told::Said(line) => said.push(line),
            Told::Reports(reports) => {
                if let Some(Report::Exited(exited)) = reports.into_iter().next() {
                    break exited;
                }
            }
            other @ (Told::Lost(_) | Told::Gone) => panic!("{other:?}"),
        }
    };
    assert_eq!(exited.end, End::Code(0));
    assert!(
        said[0].contains("does not answer") && said[1..].iter().any(|line| line.contains("again")),
        "{said:?}"
    );
    let expected: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
    assert_eq!(harbour.log("1/1/1"), expected);
    docker.acknowledge(vec!["1/1/1".to_owned()]);
    harbour.await_containers(0);
}

#[test]
fn what_went_while_nobody_could_look_is_lost() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "echo up; sleep 600");
    let cable = Cable::lay(
        &harbour.project().join("cable.sock"),
        Path::new(harbour.host().trim_start_matches("unix://")),
    );
    let context = Context {
        host: Some(format!("unix://{}", cable.socket.display())),
        ..harbour.context(2)
    };
    harbour.leave();
    let (sender, told) = mpsc::channel();
    let (docker, _) =
        Docker::connect(harbour.runtime.handle(), context, move |told| drop(sender.send(told))).expect("through");
    docker.start(start);
    harbour.await_line("1/1/1", "up");
    cable.cut();
    harbour.remove_containers();
    cable.mend();
    let lost = loop {
        match told.recv_timeout(PATIENCE).expect("told") {
            Told::Lost(attempts) => break attempts,
            Told::Reports(reports) => {
                let ended = reports.iter().any(|report| matches!(report, Report::Exited(_)));
                assert!(!ended, "{reports:?}");
            }
            Told::Said(_) => {}
            Told::Gone => panic!("it is back"),
        }
    };
    assert_eq!(lost, ["1/1/1"]);
    assert_eq!(harbour.work_folders(), [] as [&str; 0]);
}

#[test]
fn an_engine_that_is_not_there_is_an_error_with_advice() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let connect = |host: String| {
        let context = Context {
            project_id: "none".to_owned(),
            epoch: 1,
            root: folder.path().join(".kingtide"),
            secrets: Vec::new(),
            host: Some(host),
            keep: Vec::new(),
        };
        Docker::connect(runtime.handle(), context, drop).expect_err("nothing there")
    };
    let socket = folder.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    assert!(matches!(connect(host.clone()), DockerError::NotRunning { .. }));
    // A socket that its daemon has left behind.
    drop(UnixListener::bind(&socket).expect("free"));
    let error = connect(host);
    assert!(matches!(error, DockerError::NotRunning { .. }), "{error}");
    assert!(error.advice().contains("systemctl start docker"));
    assert!(matches!(
        connect("tcp://10.0.0.1:2375".to_owned()),
        DockerError::Elsewhere { .. }
    ));
    assert!(!folder.path().join(".kingtide").exists(), "nothing is made for it");
}

#[test]
fn something_that_is_no_engine_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).expect("free");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let context = Context {
        project_id: "none".to_owned(),
        epoch: 1,
        root: folder.path().to_owned(),
        secrets: Vec::new(),
        host: Some(format!("unix://{}", socket.display())),
        keep: Vec::new(),
    };
    let rude = std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().take(2).flatten() {
            let mut request = [0; 1024];
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n");
        }
    });
    let error = Docker::connect(runtime.handle(), context, drop).expect_err("no engine");
    assert!(matches!(error, DockerError::NotRunning { .. }), "{error}");
    rude.join().expect("it ends");
}

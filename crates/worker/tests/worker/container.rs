//! The static binary in real containers: it installs itself to a volume, and from there works in an image that has nothing, not even a libc, as
//! somebody who is not root, with a root that is read-only.

use std::path::PathBuf;
use std::process::Command;

use kingtide_core::cloud::variables;
use kingtide_core::engine::event::TaskState;
use kingtide_core::id::RunId;
use serde_json::json;

use crate::world::World;

/// What `cargo xtask worker` has built.
fn binary() -> Option<PathBuf> {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_kingtide-worker"));
    let target = built.parent()?.parent()?;
    let targets =
        ["musl", "gnu"].map(|libc| format!("{}-unknown-linux-{libc}/worker/kingtide-worker", std::env::consts::ARCH));
    targets.iter().map(|path| target.join(path)).find(|path| path.exists())
}

#[test]
fn an_image_from_scratch_is_enough() {
    let Some(host) = std::env::var_os("KINGTIDE_TEST_DOCKER") else {
        eprintln!("skipped: KINGTIDE_TEST_DOCKER names no container engine; `cargo xtask check` starts one");
        return;
    };
    let Some(binary) = binary() else {
        eprintln!("skipped: there is no static worker; `cargo xtask worker` builds it");
        return;
    };
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker")
            .env("DOCKER_HOST", &host)
            .args(arguments)
            .output()
            .expect("there is a docker");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    };
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    std::fs::create_dir(&image).expect("a folder");
    std::fs::copy(&binary, image.join("program")).expect("it is copied");
    std::fs::write(
        image.join("Dockerfile"),
        "FROM scratch\nCOPY program /program\nENTRYPOINT [\"/program\"]\n",
    )
    .expect("written");
    let tag = format!("kingtide-worker-test-{}", std::process::id());
    docker(&["build", "--quiet", "--tag", &tag, &image.to_string_lossy()]);

    let mut world = World::new("image = \"i\"\ncommand = [\"--version\"]");
    world
        .env
        .insert(variables::IMAGE_ENTRYPOINT.to_owned(), "[\"/program\"]".to_owned());
    world
        .env
        .insert(variables::WORK.to_owned(), "/kingtide-work".to_owned());
    let mount = |name: &str, mode: &str| format!("{}:/{name}{mode}", folder.path().join(name).display());
    let (for_all, program) = (mount("kingtide-work", ""), mount("kingtide", ""));
    let install = [
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "-v",
        &program,
        "-v",
        &for_all,
        &tag,
    ];
    docker(&[&install[..], &["install", "/kingtide/worker", "/kingtide-work"]].concat());

    world.send(1, &json!({}));
    let told: Vec<String> = world
        .command()
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy())))
        .collect();
    let read_only = mount("kingtide", ":ro");
    let mut run = vec![
        "run",
        "--rm",
        "--network",
        "host",
        "--read-only",
        "--user",
        "1000:1000",
        "--entrypoint",
        "/kingtide/worker",
    ];
    run.extend(["-v", &read_only, "-v", &for_all]);
    run.extend(told.iter().flat_map(|variable| ["--env", variable.as_str()]));
    run.extend([tag.as_str(), variables::ROLE_WORKER]);
    let said = docker(&run);
    docker(&["rmi", "--force", &tag]);
    assert_eq!(world.state(1), Some(TaskState::Succeeded), "{said}");
    let log = world.text(&world.keys().log(RunId(12).task(1).attempt(1)));
    assert!(log.trim_end().ends_with(env!("CARGO_PKG_VERSION")), "{log}");
}

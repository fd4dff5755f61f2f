//! Images: built once for the same sources, and what is said where there is none.

use bollard::query_parameters::{ImportImageOptions, RemoveImageOptions};
use kingtide_core::project::{Build, ImageSource};
use kingtide_exec::wire::End;
use kingtide_runtime::docker::{DockerError, Image};

use crate::harbour::{Harbour, harbour};

/// The image, and what was said on the way.
fn ensure(harbour: &Harbour, name: &str, build: &Build) -> Result<(Image, Vec<String>), DockerError> {
    let mut said = Vec::new();
    let source = ImageSource::Built(build.clone());
    let image = harbour
        .docker()
        .ensure_image(name, &source, harbour.project(), &mut |line| said.push(line))?;
    Ok((image, said))
}

fn sources(harbour: &Harbour, dockerfile: &str) -> Build {
    let folder = harbour.project().join("image");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::copy("/bin/busybox", folder.join("busybox")).expect("copied");
    std::fs::write(folder.join("Dockerfile"), dockerfile).expect("written");
    // No other test, and no other run of this one, has built that.
    std::fs::write(folder.join("unique"), harbour.project_id()).expect("written");
    Build {
        context: "image".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        args: [("WORD".to_owned(), "from-args".to_owned())].into(),
        target: Some("first".to_owned()),
    }
}

fn remove(harbour: &Harbour, images: &[Image]) {
    for image in images {
        let removed = harbour.engine();
        let removed = removed.remove_image(&image.reference, None::<RemoveImageOptions>, None);
        harbour.runtime.block_on(removed).expect("removed");
    }
}

#[test]
fn the_same_sources_are_built_once() {
    let Some(mut harbour) = harbour() else { return };
    let dockerfile = "FROM scratch AS first\nCOPY busybox unique /bin/\nARG WORD\nENV WORD=$WORD\nENTRYPOINT [\"/bin/busybox\"]\n\
                      CMD [\"echo\", \"by itself\"]\nFROM first\nENV WORD=second\n";
    let build = sources(&harbour, dockerfile);
    let (image, said) = ensure(&harbour, "Build-Once", &build).expect("built");
    assert!(
        said.len() > 3 && said[0].starts_with("building kingtide/build-once:"),
        "{said:?}"
    );
    let (again, said) = ensure(&harbour, "Build-Once", &build).expect("there");
    assert_eq!((&again, said), (&image, vec![]), "nothing was built");
    std::fs::write(harbour.project().join("image/.dockerignore"), "notes\n").expect("written");
    let (ignoring, _) = ensure(&harbour, "Build-Once", &build).expect("built");
    std::fs::write(harbour.project().join("image/notes"), "x").expect("written");
    let (same, said) = ensure(&harbour, "Build-Once", &build).expect("there");
    assert_eq!((&same, said), (&ignoring, vec![]), "what is ignored does not count");
    assert_ne!(image.reference, ignoring.reference);
    assert!(image.sets("WORD") && !image.sets("OTHER"));

    // The image's own command, then another, then another entrypoint.
    let mut start = harbour.script("1/1/1", "");
    (start.image, start.args) = (image.clone(), Vec::new());
    assert_eq!(harbour.run(start.clone()).end, End::Code(0));
    assert_eq!(harbour.log("1/1/1"), ["by itself"]);
    start.attempt = "1/2/1".to_owned();
    start.log = harbour.log_path("1/2/1");
    start.args = ["sh", "-c", "echo $WORD"].map(str::to_owned).to_vec();
    assert_eq!(harbour.run(start.clone()).end, End::Code(0));
    assert_eq!(harbour.log("1/2/1"), ["from-args"]);
    start.attempt = "1/3/1".to_owned();
    start.log = harbour.log_path("1/3/1");
    start.entrypoint = Some(["/bin/busybox", "echo"].map(str::to_owned).to_vec());
    start.args = vec!["handed".to_owned()];
    assert_eq!(harbour.run(start).end, End::Code(0));
    assert_eq!(harbour.log("1/3/1"), ["handed"]);
    for attempt in ["1/1/1", "1/2/1", "1/3/1"] {
        harbour.acknowledge(attempt);
    }
    harbour.await_containers(0);
    remove(&harbour, &[image, ignoring]);
}

#[test]
fn a_build_that_fails_shows_its_last_lines() {
    let Some(harbour) = harbour() else { return };
    let dockerfile = "FROM scratch AS first\nCOPY busybox unique /bin/\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo about to fail; exit 7\"]\n";
    let build = sources(&harbour, dockerfile);
    let error = ensure(&harbour, "fails", &build).expect_err("it fails").to_string();
    assert!(
        error.contains("about to fail") && error.contains("returned a non-zero code: 7"),
        "{error}"
    );
    let missing = Build {
        context: "nowhere".to_owned(),
        ..build
    };
    let error = ensure(&harbour, "fails", &missing).expect_err("no such folder");
    assert!(
        matches!(&error, DockerError::Context { why, .. } if why.contains("No such file")),
        "{error}"
    );
}

#[test]
fn what_needs_buildkit_is_built_by_docker_itself_or_says_so() {
    let Some(harbour) = harbour() else { return };
    let dockerfile = "FROM scratch AS first\nCOPY busybox unique /bin/\nRUN --mount=type=cache,target=/cache [\"/bin/busybox\", \"true\"]\n";
    let build = sources(&harbour, dockerfile);
    match ensure(&harbour, "kit", &build) {
        Ok((image, _)) => remove(&harbour, &[image]),
        Err(error) => {
            let said = error.to_string();
            assert!(matches!(error, DockerError::Build { .. }), "{said}");
            assert!(said.contains("docker build"), "{said}");
        }
    }
}

#[test]
fn an_image_that_is_nowhere_is_an_error_with_advice() {
    let Some(harbour) = harbour() else { return };
    let mut said = Vec::new();
    let source = ImageSource::Named("localhost:1/kingtide/nothing:1".to_owned());
    let error = harbour
        .docker()
        .ensure_image("x", &source, harbour.project(), &mut |line| said.push(line))
        .expect_err("nothing listens there");
    assert!(matches!(error, DockerError::NotPulled { .. }), "{error}");
    assert!(!error.advice().is_empty());
    assert_eq!(said, ["pulling localhost:1/kingtide/nothing:1"]);
}

#[test]
fn an_image_for_another_machine_is_told_apart() {
    let Some(harbour) = harbour() else { return };
    // The manifest of an image is what says whom it is for; the engine takes any from an archive.
    let config = r#"{"architecture":"s390x","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = r#"[{"Config":"config.json","RepoTags":["kingtide/test-foreign:1"],"Layers":[]}]"#;
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [("config.json", config), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .expect("in memory");
    }
    let body = bollard::body_full(archive.into_inner().expect("in memory").into());
    let engine = harbour.engine();
    let loaded = engine.import_image(ImportImageOptions::default(), body, None);
    let steps = harbour
        .runtime
        .block_on(futures_util::StreamExt::collect::<Vec<_>>(loaded));
    assert!(steps.iter().all(Result::is_ok), "{steps:?}");
    let source = ImageSource::Named("kingtide/test-foreign:1".to_owned());
    let result = harbour
        .docker()
        .ensure_image("x", &source, harbour.project(), &mut drop);
    let removed = harbour.engine();
    let removed = removed.remove_image("kingtide/test-foreign:1", None::<RemoveImageOptions>, None);
    harbour.runtime.block_on(removed).expect("removed");
    match result {
        Err(DockerError::OtherPlatform { image_platform, .. }) => assert_eq!(image_platform, "linux/s390x"),
        // Where an emulator is installed it would run.
        other => assert!(
            std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists(),
            "{other:?}"
        ),
    }
}

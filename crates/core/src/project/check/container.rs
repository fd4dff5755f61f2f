//! The keys of jobs that run in containers: which go together, and whether each can be meant.

use std::ops::Range;

use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::check::{check_path, out_of_range, zero_byte};
use crate::project::container::{RawBuild, RawMount};
use crate::project::raw::RawJob;
use crate::template::Template;

/// Where containers see Kingtide's own folder.
const OURS: &str = "/kingtide";
/// The engine refuses less; nothing would fit.
const LEAST_SHARED_MEMORY: u64 = 64 * 1024;

/// `table` is the place of the job's head and `until` that of all that may be its, `name` what it is called.
pub(super) fn check_container(
    name: &str,
    table: Range<usize>,
    until: Range<usize>,
    job: &RawJob,
    findings: &mut Findings,
) {
    match (&job.image, &job.build) {
        (None, None) => check_process(name, table, until, job, findings),
        (Some(image), Some(build)) => {
            let message = "`image` and `build` both name the image";
            let place = image.span().max_by_start(build.span());
            let finding = Finding::error("image-and-build", message).at(place);
            findings.push(finding.help("keep `build` to make it from a Dockerfile, `image` to take one that is made"));
        }
        (Some(image), None) => check_image(image, findings),
        (None, Some(build)) => check_build(build, findings),
    }
    if job.image.is_none() && job.build.is_none() {
        return;
    }
    if let Some(python) = &job.python {
        let message = "`python` makes an environment on this machine, which a container does not see";
        let finding = Finding::error("python-in-container", message).at(python.span());
        findings.push(finding.help("install the requirements in the image: RUN pip install -r requirements.txt"));
    }
    if let Some(workdir) = job
        .workdir
        .as_ref()
        .filter(|workdir| !workdir.get_ref().starts_with('/'))
    {
        let message = "`workdir` is a folder in the container, and those begin with `/`";
        let finding = Finding::error("bad-path", message).at(workdir.span());
        findings.push(finding.help("write it out, \"/app\" for instance, or leave it to the image"));
    }
    check_entrypoint(job, findings);
    check_mounts(job, findings);
    if let Some(user) = job.user.as_ref().filter(|user| !is_user(user.get_ref())) {
        let finding = Finding::error("bad-user", format!("`{}` is no user", user.get_ref())).at(user.span());
        findings.push(finding.help("write a name or a number, and after a `:` a group: \"1000:1000\""));
    }
    if let Some(size) = job
        .shm_size
        .as_ref()
        .filter(|size| size.get_ref().0 < LEAST_SHARED_MEMORY)
    {
        let finding = out_of_range(size, "`shm_size` must be at least 64 KiB");
        findings.push(finding.help("write the unit, shm_size = \"1GiB\" for instance"));
    }
}

/// Not in a container: there must be a command, and nothing that only containers know.
fn check_process(name: &str, table: Range<usize>, until: Range<usize>, job: &RawJob, findings: &mut Findings) {
    let only: [(&str, Option<Range<usize>>); 4] = [
        ("entrypoint", job.entrypoint.as_ref().map(Spanned::span)),
        ("mounts", job.mounts.as_ref().map(Spanned::span)),
        ("user", job.user.as_ref().map(Spanned::span)),
        ("shm_size", job.shm_size.as_ref().map(Spanned::span)),
    ];
    for (key, span) in only {
        let Some(span) = span else { continue };
        let finding = Finding::error(
            "no-image",
            format!("`{key}` belongs to a container, and the job has none"),
        )
        .at(span);
        findings.push(finding.help("add `image` or `build`, or remove it"));
    }
    // What is there and could not be read has its finding.
    let is_said = findings.0.iter().any(|finding| {
        let is_it = |key: &&str| finding.message.contains(&format!("for `{key}`"));
        let is_here = finding.span().is_some_and(|span| until.contains(&span.start));
        finding.code == "wrong-type" && is_here && ["command", "image", "build"].iter().any(is_it)
    });
    if job.command.is_none() && !is_said {
        let finding = Finding::error("missing-key", format!("`{name}` lacks `command`")).at(table);
        findings.push(finding.help("a job needs `command = …`, or `image` or `build` for a container"));
    }
}

fn check_image(image: &Spanned<String>, findings: &mut Findings) {
    let written = image.get_ref();
    let Some(why) = no_reference(written) else { return };
    let finding = Finding::error("bad-image", format!("`{written}` is no name of an image: {why}")).at(image.span());
    findings.push(
        finding.help("write it as `docker run` takes it: \"python:3.13-slim\", \"registry.example.com/team/train:7\""),
    );
}

/// What is wrong with the name of an image.
fn no_reference(written: &str) -> Option<&'static str> {
    let (name, digest) = match written.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (written, None),
    };
    if written.is_empty() {
        return Some("it is empty");
    }
    if written.contains("://") {
        return Some("it is an address, and begins with the registry's host");
    }
    let is_hex = |text: &str| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest.is_some_and(|digest| !digest.split_once(':').is_some_and(|(_, hash)| is_hex(hash))) {
        return Some("what follows `@` is no digest");
    }
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    let tag_character = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    if tag.is_some_and(|tag| tag.is_empty() || tag.len() > 128 || !tag.chars().all(tag_character)) {
        return Some("what follows `:` is no tag");
    }
    let mut parts = path.split('/').peekable();
    if parts
        .peek()
        .is_some_and(|first| path.contains('/') && (first.contains(['.', ':']) || *first == "localhost"))
    {
        parts.next();
    }
    for part in parts {
        let character = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        let ends = |character: char| matches!(character, 'a'..='z' | '0'..='9');
        if part.contains(|character: char| character.is_ascii_uppercase()) {
            return Some("it must be in small letters");
        }
        if !part.chars().all(character) || !part.starts_with(ends) || !part.ends_with(ends) {
            return Some("letters, digits and `.`, `_`, `-` between them, parts separated by `/`");
        }
    }
    None
}

fn check_build(build: &Spanned<RawBuild>, findings: &mut Findings) {
    match build.get_ref() {
        RawBuild::Folder(folder) => {
            check_path("build", Some(&Spanned::new(build.span(), folder.clone())), findings);
        }
        RawBuild::Table(table) => {
            check_path("context", table.context.as_ref(), findings);
            check_path("dockerfile", table.dockerfile.as_ref(), findings);
            let outside = |path: &str| path.starts_with('/') || path.split('/').any(|part| part == "..");
            if let Some(file) = table.dockerfile.as_ref().filter(|file| outside(file.get_ref())) {
                let message = "`dockerfile` must lie in the context: it is sent with it";
                let finding = Finding::error("bad-path", message).at(file.span());
                findings
                    .push(finding.help("write its path relative to `context`, or make `context` a folder further up"));
            }
        }
    }
}

fn check_entrypoint(job: &RawJob, findings: &mut Findings) {
    let Some(entrypoint) = &job.entrypoint else { return };
    if entrypoint
        .get_ref()
        .first()
        .is_none_or(|program| program.get_ref().trim().is_empty())
    {
        let finding = Finding::error("empty-command", "`entrypoint` names no program").at(entrypoint.span());
        findings.push(finding.help("name the program in the image, or leave it out for the image's own"));
    }
    for part in entrypoint.get_ref() {
        if part.get_ref().contains('\0') {
            findings.push(zero_byte("an argument", part.span()));
        }
        let template = Template::parse(part.get_ref());
        if template.is_ok_and(|template| template.placeholders().next().is_some()) {
            let message = "`entrypoint` has no placeholders: it is the same for every message";
            let finding = Finding::error("bad-placeholder", message).at(part.span());
            findings.push(finding.help("put what depends on the message into `command`"));
        }
    }
}

fn check_mounts(job: &RawJob, findings: &mut Findings) {
    let mut targets: Vec<String> = Vec::new();
    let mounts: &[Spanned<RawMount>] = job.mounts.as_ref().map_or(&[], |mounts| mounts.get_ref());
    for written in mounts {
        let mut bad = |message: String, help: &str| {
            findings.push(Finding::error("bad-mount", message).at(written.span()).help(help));
        };
        let mount = match written.get_ref().mount() {
            Ok(mount) => mount,
            Err(why) => {
                bad(
                    why,
                    "write \"here:/there\", with \":ro\" behind it for reading only; a path with `:` needs a table",
                );
                continue;
            }
        };
        let target = mount.target.trim_end_matches('/').to_owned();
        if !mount.target.starts_with('/') || target.is_empty() || mount.target.split('/').any(|part| part == "..") {
            bad(
                format!("`{}` is no place in a container", mount.target),
                "write an absolute path below `/`: \"./data:/data\"",
            );
        } else if target == OURS || target.starts_with(&format!("{OURS}/")) {
            bad(
                format!("`{OURS}` is where Kingtide's own folder is in the container"),
                "mount it elsewhere",
            );
        } else if targets.contains(&target) {
            bad(format!("two mounts lie at `{target}`"), "give each a place of its own");
        }
        targets.push(target);
        check_path("mounts", Some(&Spanned::new(written.span(), mount.source)), findings);
    }
}

fn is_user(written: &str) -> bool {
    let is_name = |name: &str| {
        let character = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
        !name.is_empty() && name.chars().all(character) && !name.starts_with('-')
    };
    match written.split_once(':') {
        Some((user, group)) => is_name(user) && is_name(group),
        None => is_name(written),
    }
}

/// Of two places the later one: what was added last is what is wrong.
trait Later {
    fn max_by_start(self, other: Self) -> Self;
}

impl Later for Range<usize> {
    fn max_by_start(self, other: Range<usize>) -> Range<usize> {
        match self.start > other.start {
            true => self,
            false => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::load;

    /// The codes of what is said about a job with these keys.
    fn codes(keys: &str) -> Vec<&'static str> {
        let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{keys}\n"));
        assert_eq!(project.is_none(), findings.has_errors());
        findings.0.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_job_has_a_command_or_an_image_or_a_build() {
        for keys in [
            "command = [\"x\"]",
            "image = \"x\"",
            "build = \".\"",
            "image = \"x\"\ncommand = []",
            "image = \"x\"\ncommand = [\"{a}\"]",
            "build = { context = \"images/train\", dockerfile = \"Dockerfile.gpu\", args = { A = \"1\" }, target = \"run\" }",
        ] {
            assert_eq!(codes(keys), [] as [&str; 0], "{keys}");
        }
        assert_eq!(codes(""), ["missing-key"]);
        assert_eq!(codes("image = \"x\"\nbuild = \".\""), ["image-and-build"]);
        assert_eq!(
            codes("image = \"x\"\npython = \"requirements.txt\""),
            ["python-in-container"]
        );
        assert_eq!(codes("command = [\"x\"]\nentrypoint = [\"y\"]"), ["no-image"]);
        assert_eq!(
            codes("command = [\"x\"]\nmounts = []\nuser = \"me\""),
            ["no-image", "no-image"]
        );
        assert_eq!(codes("build = {}"), ["missing-key"]);
        assert_eq!(
            codes("build = { context = \".\", dockerfile = \"../Dockerfile\" }"),
            ["bad-path"]
        );
        assert_eq!(codes("image = \"x\"\nworkdir = \"models\""), ["bad-path"]);
        assert_eq!(codes("image = \"x\"\nentrypoint = []"), ["empty-command"]);
        assert_eq!(codes("image = \"x\"\nentrypoint = [\"{a}\"]"), ["bad-placeholder"]);
        assert_eq!(
            codes("image = \"x\"\nentrypoint = [\"sh\", \"-c\"]\ncommand = [\"echo {a}\"]"),
            ["shell-injection"]
        );
        assert_eq!(codes("image = \"x\"\nshm_size = \"64B\""), ["out-of-range"]);
    }

    #[test]
    fn names_of_images_are_told_from_others() {
        let hash = "a".repeat(64);
        for good in [
            "busybox",
            "python:3.13-slim",
            "localhost:5000/x",
            "registry.example.com:443/Team".to_lowercase().as_str(),
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/train:V7",
            "a_b/c__d/e-f.g",
            &format!("x@sha256:{hash}"),
        ] {
            assert_eq!(no_reference(good), None, "{good}");
        }
        for bad in [
            "",
            "Busybox",
            "x:",
            "x y",
            "http://x/y",
            "x@sha256:1",
            "-x",
            "x//y",
            "{image}",
        ] {
            assert!(no_reference(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn mounts_are_read_and_judged() {
        let keys = "image = \"x\"\nmounts = [\"./data:/data:ro\", \"/srv:/srv\", { source = \"a:b\", target = \"/c\", read_only = true }]";
        let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{keys}\n"));
        assert_eq!(findings.0, []);
        let project = project.expect("right");
        let container = project.jobs["j"].container().expect("a container").clone();
        let mounts: Vec<_> = container
            .mounts
            .iter()
            .map(|mount| (mount.source.as_str(), mount.target.as_str(), mount.read_only))
            .collect();
        assert_eq!(
            mounts,
            [("./data", "/data", true), ("/srv", "/srv", false), ("a:b", "/c", true)]
        );
        for bad in [
            "data",
            "a:b",
            "a:/b:rx",
            "a:/b:ro:z",
            "a:/",
            "a:/kingtide/x",
            "a:/b/../c",
        ] {
            assert_eq!(
                codes(&format!("image = \"x\"\nmounts = [\"{bad}\"]")),
                ["bad-mount"],
                "{bad}"
            );
        }
        assert_eq!(codes("image = \"x\"\nmounts = [\"a:/b\", \"c:/b/\"]"), ["bad-mount"]);
        assert_eq!(codes("image = \"x\"\nmounts = [\"~/a:/b\"]"), ["bad-path"]);
        assert_eq!(
            codes("image = \"x\"\nmounts = [{ source = \"a\" }]"),
            ["missing-key", "bad-mount"]
        );
    }

    #[test]
    fn users_are_names_or_numbers() {
        for good in ["1000", "1000:1000", "app", "app:staff", "0"] {
            assert!(is_user(good), "{good}");
        }
        for bad in ["", ":", "a:", "a b", "a:b:c", "-1"] {
            assert!(!is_user(bad), "{bad}");
        }
    }
}

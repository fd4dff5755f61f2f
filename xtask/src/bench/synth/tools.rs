//! Who makes templates, and who looks at them: AWS CDK from npm, Kingtide, cfn-lint from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::super::binary::Kingtide;
use super::super::installed;
use super::super::timing::{self, output_of};

const FOLDER: &str = "bench/synth";
/// What a program's start reads lies in files of these folders: they are dropped from memory for a cold start.
const MODULES: &str = "node_modules";

pub(super) struct Tools {
    /// The packages of npm, with the applications beside them.
    packages: PathBuf,
    /// Compiled ahead: what a start needs no compiler for.
    compiled: PathBuf,
    lint: PathBuf,
    kingtide: PathBuf,
    out: PathBuf,
    pub(super) versions: Vec<(String, String)>,
}

/// Who makes a template, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// `cdk synth` of the application as `cdk init` sets it up: TypeScript, checked at each start.
    Cdk,
    /// The application alone, compiled before, without the `cdk` program.
    Compiled,
    Kingtide,
}

impl Maker {
    pub(super) const ALL: [Maker; 3] = [Maker::Cdk, Maker::Compiled, Maker::Kingtide];

    pub(super) fn title(self) -> &'static str {
        match self {
            Maker::Cdk => "`cdk synth`",
            Maker::Compiled => "CDK's application alone, compiled",
            Maker::Kingtide => "`kingtide synth`",
        }
    }
}

/// What is made a template of, by its files in `bench/synth`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) application: &'static str,
    pub(super) project: &'static str,
}

impl Tools {
    pub(super) fn prepare(kingtide: &Kingtide, scratch: &Path) -> anyhow::Result<Tools> {
        let folder = crate::workspace_root().join(FOLDER);
        let packages = installed::node("bench-synth", &folder)?;
        let lint = installed::python("cfn-lint", &folder.join("requirements.txt"))?.join("bin/cfn-lint");
        // Both makers are started elsewhere.
        let out = std::path::absolute(scratch.join("synth"))?;
        let compiled = packages.join("compiled");
        for entry in fs::read_dir(&folder).context("failed to read the folder of the applications")? {
            let path = entry?.path();
            let is_source = path.extension().is_some_and(|extension| extension == "ts");
            if is_source || path.ends_with("tsconfig.json") {
                let name = path.file_name().context("an entry of a folder has a name")?;
                fs::copy(&path, packages.join(name)).context("failed to copy an application")?;
            }
        }
        let node = |program: &str| packages.join(MODULES).join(".bin").join(program);
        let compile = ["--project", ".", "--outDir", "compiled"];
        output_of(Command::new(node("tsc")).args(compile).current_dir(&packages))?;
        let mut versions = vec![
            ("node".to_owned(), output_of(Command::new("node").arg("--version"))?),
            ("cfn-lint".to_owned(), output_of(Command::new(&lint).arg("--version"))?),
            ("kingtide".to_owned(), kingtide.version.clone()),
        ];
        let project: Value = serde_json::from_slice(&fs::read(folder.join("package.json"))?)?;
        let pinned = project["dependencies"].as_object().into_iter().flatten();
        versions.extend(pinned.map(|(name, version)| (name.clone(), version.as_str().unwrap_or("?").to_owned())));
        Ok(Tools {
            packages,
            compiled,
            lint,
            kingtide: kingtide.path.clone(),
            out,
            versions,
        })
    }

    /// The command that makes a template; CDK writes it into a folder, Kingtide to its output.
    fn command(&self, maker: Maker, source: Source) -> Command {
        let out = self.out.join(source.application);
        let mut command = match maker {
            Maker::Cdk => {
                let mut command = Command::new(self.packages.join(MODULES).join(".bin/cdk"));
                let application = format!("npx ts-node --prefer-ts-exts {}.ts", source.application);
                command.args(["synth", "--quiet", "--no-notices", "--app", &application, "--output"]);
                command.arg(out).current_dir(&self.packages);
                command
            }
            Maker::Compiled => {
                let mut command = Command::new("node");
                command.arg(self.compiled.join(format!("{}.js", source.application)));
                command.env("CDK_OUTDIR", out).current_dir(&self.packages);
                command
            }
            Maker::Kingtide => {
                let mut command = Command::new(&self.kingtide);
                command.arg("synth").current_dir(project(source));
                command
            }
        };
        // Neither asks anybody whether it is the newest.
        command
            .env("CDK_DISABLE_VERSION_CHECK", "1")
            .env("CDK_DISABLE_CLI_TELEMETRY", "true")
            .env("npm_config_update_notifier", "false");
        command
    }

    /// Seconds from start to exit; cold with the tool's own files dropped from memory before.
    pub(super) fn time(&self, maker: Maker, source: Source, is_cold: bool) -> anyhow::Result<f64> {
        if is_cold {
            match maker {
                Maker::Kingtide => forget(&self.kingtide)?,
                Maker::Cdk | Maker::Compiled => {
                    forget(&self.packages)?;
                    forget(&node_itself()?)?;
                }
            }
        }
        Ok(timing::time(&mut self.command(maker, source))?.as_secs_f64())
    }

    /// The template, as bytes.
    pub(super) fn template(&self, maker: Maker, source: Source) -> anyhow::Result<Vec<u8>> {
        let text = output_of(&mut self.command(maker, source))?;
        if maker == Maker::Kingtide {
            return Ok(text.into_bytes());
        }
        let folder = self.out.join(source.application);
        for entry in fs::read_dir(&folder).context("CDK has written no folder")? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(".template.json") {
                return fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()));
            }
        }
        bail!("CDK has written no template")
    }

    /// What cfn-lint finds, each as `E3012`, as often as it does.
    pub(super) fn findings(&self, template: &[u8]) -> anyhow::Result<Vec<String>> {
        let file = self.out.join("looked-at.json");
        fs::create_dir_all(&self.out).context("failed to make the folder of templates")?;
        fs::write(&file, template).context("failed to write the template")?;
        // It exits with the kinds of what it found, so a status tells nothing of whether it worked.
        let output = Command::new(&self.lint)
            .args([
                "--format",
                "json",
                "--regions",
                "eu-west-1",
                "--include-checks",
                "I",
                "--",
            ])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .context("failed to start cfn-lint")?;
        let found: Value = serde_json::from_slice(&output.stdout).context("cfn-lint wrote no JSON")?;
        let rules = found.as_array().context("cfn-lint wrote no list")?.iter();
        Ok(rules
            .map(|found| found["Rule"]["Id"].as_str().unwrap_or("?").to_owned())
            .collect())
    }
}

/// Lines of the user's own file that say something.
pub(super) fn lines(maker: Maker, source: Source) -> anyhow::Result<usize> {
    let (path, comment) = match maker {
        Maker::Kingtide => (project(source).join("kingtide.toml"), "#"),
        Maker::Cdk | Maker::Compiled => {
            let file = format!("{}.ts", source.application);
            (crate::workspace_root().join(FOLDER).join(file), "//")
        }
    };
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with(comment);
    Ok(text.lines().filter(says).count())
}

fn project(source: Source) -> PathBuf {
    crate::workspace_root().join(FOLDER).join(source.project)
}

fn node_itself() -> anyhow::Result<PathBuf> {
    let path = output_of(Command::new("node").args(["--print", "process.execPath"]))?;
    Ok(PathBuf::from(path.trim()))
}

/// Drops a file, or all files of a folder, from the page cache, as far as nobody has them open.
fn forget(path: &Path) -> anyhow::Result<()> {
    let kind = fs::symlink_metadata(path).with_context(|| format!("failed to look at `{}`", path.display()))?;
    if kind.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("failed to read `{}`", path.display()))? {
            forget(&entry?.path())?;
        }
    } else if kind.is_file() {
        let file = fs::File::open(path).with_context(|| format!("failed to open `{}`", path.display()))?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .context("failed to drop a file from memory")?;
    }
    Ok(())
}

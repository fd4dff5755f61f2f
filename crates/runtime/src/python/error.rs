//! Why there is no Python environment, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an environment could not be had. [`PythonError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    #[error("cannot read the requirements file `{}`", path.display())]
    Requirements {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{place}: cannot read the included `{}`", path.display())]
    Included {
        /// `requirements.txt:3`.
        place: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{place}: cannot read the local package `{}`", path.display())]
    LocalPackage {
        place: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("neither `python3` nor `uv` is on PATH")]
    NoPython,
    #[error("`{}` does not run: {said}", path.display())]
    Interpreter { path: PathBuf, said: String },
    #[error("cannot keep Python environments in `{}`", path.display())]
    Cache {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot keep Python environments in `{}`: there is a `:` in its path", path.display())]
    ColonInPath { path: PathBuf },
    #[error("cannot start `{}`", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Build(Box<BuildFailure>),
}

/// `uv`, `venv` or `pip` ended with an error.
#[derive(Debug)]
pub struct BuildFailure {
    /// The requirements file as the user named it.
    pub requirements: String,
    pub cause: Cause,
    /// The last lines of its output, without secrets.
    pub tail: Vec<String>,
    /// Holds the whole output.
    pub log: PathBuf,
}

/// What the output of `uv`, `venv` or `pip` says, as far as we understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Debian and its kin ship Python without `venv`.
    NoVenv,
    NoNetwork,
    NoCertificate,
    DiskFull,
    NotFound {
        /// As it stands in the requirements, where the output names it.
        package: Option<String>,
    },
    Conflict,
    WrongHash,
    NotARequirement,
    NoCompiler,
    NoPythonHeaders,
    CannotBuild {
        package: Option<String>,
    },
    /// Ctrl-C, or a signal from elsewhere.
    Interrupted,
    Other,
}

impl PythonError {
    /// What to do about it, in one sentence.
    pub fn help(&self) -> String {
        match self {
            PythonError::Requirements { .. } => "`python` names a requirements file, relative to kingtide.toml".into(),
            PythonError::Included { .. } => "a file named by -r or -c lies relative to the file that names it".into(),
            PythonError::LocalPackage { .. } => "make the folder readable, or name another".into(),
            PythonError::NoPython => {
                "install Python (`apt install python3 python3-venv`, `dnf install python3`) or uv (https://docs.astral.sh/uv)"
                    .into()
            }
            PythonError::Interpreter { .. } => {
                "see what `python3 --version` says in the project's folder; a version manager may name a version that is not installed"
                    .into()
            }
            PythonError::Cache { .. } => "set XDG_CACHE_HOME to a folder that you may write to".into(),
            PythonError::ColonInPath { .. } => "set XDG_CACHE_HOME to a folder without `:` in its path".into(),
            PythonError::Start { .. } => "see whether it can be executed".into(),
            PythonError::Build(failure) => failure.help(),
        }
    }
}

impl BuildFailure {
    fn help(&self) -> String {
        let file = &self.requirements;
        match &self.cause {
            Cause::NoVenv => "install it: `apt install python3-venv` on Debian and Ubuntu; or install uv".into(),
            Cause::NoNetwork => {
                "see whether this machine reaches the package index; behind a proxy set HTTPS_PROXY, for an index of your own PIP_INDEX_URL"
                    .into()
            }
            Cause::NoCertificate => "name your certificates with PIP_CERT or SSL_CERT_FILE".into(),
            Cause::DiskFull => "free some space, or set XDG_CACHE_HOME to a folder on a larger disk".into(),
            Cause::NotFound { package: Some(package) } => {
                format!("see whether `{package}` in {file} is spelled right and exists for this version of Python")
            }
            Cause::NotFound { package: None } => {
                format!("see whether the packages in {file} are spelled right and exist for this version of Python")
            }
            Cause::Conflict => format!("loosen the versions in {file} that contradict each other"),
            Cause::WrongHash => format!("the hashes in {file} are not those of what was downloaded; make them anew"),
            Cause::NotARequirement => format!("mend the line of {file} that is shown above"),
            Cause::NoCompiler => "install a C compiler: `apt install build-essential`, `dnf install gcc`".into(),
            Cause::NoPythonHeaders => "install Python's headers: `apt install python3-dev`, `dnf install python3-devel`".into(),
            Cause::CannotBuild { package: Some(package) } => {
                format!("look for a version of `{package}` with a wheel for this version of Python")
            }
            Cause::CannotBuild { package: None } => {
                "look for versions with a wheel for this version of Python".into()
            }
            Cause::Interrupted => "run it again; nothing half-made is used".into(),
            Cause::Other => "read its output above".into(),
        }
    }
}

impl fmt::Display for BuildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot make the Python environment for {}: {}",
            self.requirements, self.cause
        )?;
        for line in &self.tail {
            write!(f, "\n  {line}")?;
        }
        write!(f, "\n  (all of its output: {})", self.log.display())
    }
}

impl std::error::Error for BuildFailure {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoVenv => f.write_str("this Python has no `venv` module"),
            Cause::NoNetwork => f.write_str("the package index cannot be reached"),
            Cause::NoCertificate => f.write_str("the package index has a certificate that is not trusted here"),
            Cause::DiskFull => f.write_str("no space left on the disk"),
            Cause::NotFound { package: Some(package) } => write!(f, "there is no `{package}` for it"),
            Cause::NotFound { package: None } => f.write_str("a package does not exist"),
            Cause::Conflict => f.write_str("its requirements contradict each other"),
            Cause::WrongHash => f.write_str("a download has another hash than is required"),
            Cause::NotARequirement => f.write_str("a line of it is no requirement"),
            Cause::NoCompiler => f.write_str("a package has to be compiled and there is no C compiler"),
            Cause::NoPythonHeaders => f.write_str("a package has to be compiled and Python's headers are missing"),
            Cause::CannotBuild { package: Some(package) } => write!(f, "`{package}` cannot be built"),
            Cause::CannotBuild { package: None } => f.write_str("a package cannot be built"),
            Cause::Interrupted => f.write_str("interrupted"),
            Cause::Other => f.write_str("the installation failed"),
        }
    }
}

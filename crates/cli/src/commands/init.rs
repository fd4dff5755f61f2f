//! `init`: a project that runs, with nothing but a shell. Overwrites nothing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use kingtide_core::message::Message;
use kingtide_core::template::Template;

use crate::args::Init;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::settings::Settings;
use kingtide_core::project::FILE;

const SCRIPT: &str = "work.sh";
const JOB: &str = "work";

pub(crate) fn run(init: &Init, settings: &Settings) -> Outcome {
    let params = match &init.from {
        Some(file) => Some(Table::read(file)?),
        None => None,
    };
    std::fs::create_dir_all(&init.folder).map_err(|error| {
        Failure::new(format!("failed to make the folder `{}`", init.folder.display())).because(error)
    })?;
    let folder = init.folder.canonicalize().map_err(|error| {
        Failure::new(format!("failed to find the folder `{}`", init.folder.display())).because(error)
    })?;
    let mut files = vec![
        (FILE, project(&folder, params.as_ref())),
        (SCRIPT, script(params.as_ref())),
    ];
    if let Some(params) = &params
        && !params.path.starts_with(&folder)
    {
        files.push((&params.name, params.text.clone()));
    }
    if let Some((taken, _)) = files
        .iter()
        .find(|(name, _)| folder.join(name).symlink_metadata().is_ok())
    {
        return Err(Failure::usage(format!(
            "`{}` is there already, and nothing is overwritten",
            folder.join(taken).display()
        ))
        .help("name another folder: `kingtide init DIR`"));
    }
    if folder.join(".gitignore").symlink_metadata().is_err() {
        files.push((".gitignore", "/.kingtide/\n".to_owned()));
    }
    for (name, text) in &files {
        create(&folder.join(name), text)?;
    }
    if !settings.quiet {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        output::say(&format!("made {} in {}", names.join(", "), folder.display()));
        if let Some(params) = params.as_ref().filter(|params| !params.unusable.is_empty()) {
            let names = params.unusable.join("`, `");
            output::say(&format!(
                "no placeholder can be named `{names}`: programs find these in KINGTIDE_MESSAGE"
            ));
        }
        let change = match init.folder == Path::new(".") {
            true => String::new(),
            false => format!("cd {} && ", init.folder.display()),
        };
        let command = format!("{change}kingtide run {JOB}");
        output::say(&format!(
            "{} {}",
            settings.err.cyan("next:"),
            settings.err.bold(&command)
        ));
    }
    Ok(Exit::Done)
}

/// A file of parameters, and what it names.
#[derive(Debug)]
struct Table {
    /// Absolute.
    path: PathBuf,
    name: String,
    text: String,
    /// Columns that a placeholder can name.
    columns: Vec<String>,
    unusable: Vec<String>,
}

impl Table {
    fn read(file: &Path) -> Result<Table, Failure> {
        let failed = || Failure::usage(format!("failed to read `{}`", file.display()));
        let path = file.canonicalize().map_err(|error| failed().because(error))?;
        let bytes = std::fs::read(&path).map_err(|error| failed().because(error))?;
        let text = String::from_utf8(bytes).map_err(|error| failed().because(error).help("save the file as UTF-8"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.to_lowercase().ends_with(".csv") {
            return Err(Failure::usage(format!("`{name}` is no .csv file"))
                .help("for .jsonl and .json: `kingtide init`, then name the file in `params`"));
        }
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let headers = reader.headers().map_err(|error| failed().because(error))?;
        let (columns, unusable): (Vec<String>, Vec<String>) =
            headers.iter().map(str::to_owned).partition(|name| is_placeholder(name));
        if columns.is_empty() && unusable.is_empty() {
            return Err(Failure::usage(format!("`{name}` has no columns")).help("its first line names them"));
        }
        Ok(Table {
            path,
            name,
            text,
            columns,
            unusable,
        })
    }
}

fn is_placeholder(name: &str) -> bool {
    let template = Template::parse(&format!("{{{name}}}"));
    let names_it =
        |template: Template| template.placeholders().eq([name]) && template.fill(&Message(Default::default())).is_err();
    template.is_ok_and(names_it)
}

fn project(folder: &Path, params: Option<&Table>) -> String {
    let name = project_name(folder);
    let (columns, rows, comment) = match params {
        Some(table) => {
            let file = table
                .path
                .strip_prefix(folder)
                .unwrap_or(Path::new(&table.name))
                .display()
                .to_string();
            (table.columns.clone(), quoted(&file), "a task for each row of this file")
        }
        None => {
            let columns = vec!["city".to_owned(), "days".to_owned()];
            (
                columns,
                "{ matrix = { city = [\"Boston\", \"Lima\", \"Oslo\"], days = [1, 7] } }".to_owned(),
                "a task for each combination",
            )
        }
    };
    let arguments: String = columns
        .iter()
        .map(|column| format!(", {}", quoted(&format!("{{{column}}}"))))
        .collect();
    format!(
        "# What to run. `kingtide check` finds mistakes, `kingtide schema` is for editors.\n\
         \n\
         [project]\n\
         name = {name}\n\
         \n\
         [job.{JOB}]\n\
         command = [\"sh\", \"{SCRIPT}\"{arguments}]  # {{name}} is filled from the row\n\
         params  = {rows}  # {comment}\n\
         cpu     = 1  # so many tasks run at once as the machine has processors\n\
         # memory  = \"2GiB\"  # reserved for each task, and its limit\n\
         # timeout = \"1h\"    # of an attempt; there is none by default\n\
         retries = 2\n\
         on_exit = {{ 3 = \"skip\" }}  # exit code 3: nothing to do for this row\n",
        name = quoted(&name),
    )
}

fn script(params: Option<&Table>) -> String {
    let work = match params {
        None => {
            "echo \"looking $2 days ahead in $1\"\n\
             sleep 1\n\
             \n\
             # One JSON object: its keys become columns of `kingtide results`.\n\
             echo \"{\\\"degrees\\\": $(( (${#1} * 7 + $2 * 3) % 30 ))}\" > \"$KINGTIDE_RESULT\"\n"
        }
        Some(_) => {
            "echo \"working on: $*\"\n\
             sleep 1\n\
             \n\
             # One JSON object: its keys become columns of `kingtide results`.\n\
             echo \"{\\\"arguments\\\": $#}\" > \"$KINGTIDE_RESULT\"\n"
        }
    };
    format!(
        "#!/bin/sh\n\
         # Runs once for each task; replace it with your own program.\n\
         # Parameters come as arguments, in KINGTIDE_PARAM_<NAME>, and as JSON in KINGTIDE_MESSAGE.\n\
         set -eu\n\
         \n\
         {work}\
         \n\
         # What is left in this folder is kept as the task's output, if it succeeds.\n\
         date > \"$KINGTIDE_OUTPUT/made-at.txt\"\n"
    )
}

/// The folder's name, as a project may be called.
fn project_name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match name.trim_matches('-') {
        "" => "project".to_owned(),
        name => name.to_owned(),
    }
}

/// As TOML and JSON both write a text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A file that was not there: never one that is.
fn create(path: &Path, text: &str) -> Outcome<()> {
    let write = || File::create_new(path)?.write_all(text.as_bytes());
    write().map_err(|error| Failure::new(format!("failed to write `{}`", path.display())).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cities.csv");
        std::fs::write(&path, text).expect("a file");
        Table::read(&path).expect("a table")
    }

    #[test]
    fn a_project_of_its_own() {
        insta::assert_snapshot!("project", project(Path::new("/projects/My Forecasts"), None));
        insta::assert_snapshot!("script", script(None));
    }

    #[test]
    fn a_project_from_a_table() {
        let table = table("\u{feff}dest,the depth,\"a\"\"b\",n-1\nBOS,4,x,1\n");
        assert_eq!(table.columns, ["dest", "n-1"]);
        assert_eq!(table.unusable, ["the depth", "a\"b"]);
        let text = project(Path::new("/"), Some(&table));
        assert!(
            text.contains(r#"command = ["sh", "work.sh", "{dest}", "{n-1}"]"#),
            "{text}"
        );
        insta::assert_snapshot!("script_from", script(Some(&table)));
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "mine").expect("a file");
        assert!(create(&folder.path().join("a"), "yours").is_err());
        assert_eq!(std::fs::read_to_string(folder.path().join("a")).expect("reads"), "mine");
    }
}

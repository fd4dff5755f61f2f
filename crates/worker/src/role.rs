//! What the binary is to be, and how it ends.

use std::path::Path;
use std::process::ExitCode;

use kingtide_core::cloud::variables;
use kingtide_exec::collect::chain;

use crate::settings::Settings;
use crate::{dispatcher, install, voice, worker};

/// Takes the role that the first argument names, or else the environment.
pub fn take(arguments: &[String]) -> ExitCode {
    let named = std::env::var(variables::ROLE).ok();
    let (role, rest) = match arguments {
        [role, rest @ ..] => (role.as_str(), rest),
        [] => (named.as_deref().unwrap_or_default(), &[][..]),
    };
    let ended = match role {
        "install" => match rest {
            [to, folders @ ..] => install::install(Path::new(to), folders).map_err(|error| chain(&error)),
            [] => Err("install where to? Give a path, and folders that everybody may write to".to_owned()),
        },
        "--version" => {
            voice::say(env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        variables::ROLE_WORKER => Settings::of_environment()
            .map_err(|error| chain(&error))
            .and_then(|settings| worker::work(settings).map_err(|error| chain(&error))),
        variables::ROLE_DISPATCHER => dispatcher::dispatch().map_err(|error| chain(&error)),
        other => Err(format!(
            "there is no role `{other}`: it is `install`, `{}` or `{}`",
            variables::ROLE_WORKER,
            variables::ROLE_DISPATCHER
        )),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            voice::say(&format!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

//! Scenarios to read aloud: what happens, line by line, and under each line what the engine made of it. A scenario is a text
//! file; `script` reads it, `stage` plays it with the real engine over the simulator's model store, `telling` puts into words
//! what was written and done. `tests/sim/*.txt` are the scenarios of the suite.
//!
//! ```text
//! # A title, and what is to be seen.
//! job retries = 2          a line of the job, as it would stand in kingtide.toml
//! submit 1                 what happens
//!     task 1: leased       what came of it: recorded, indented
//! ```

mod script;
mod stage;
mod telling;

use std::fmt::Write as _;

use self::script::Script;
use self::stage::Stage;

/// Plays a scenario and gives its text back with what came of each line in the place of what was recorded.
///
/// # Errors
/// A line that says nothing, or something that cannot happen there.
///
/// # Panics
/// When an invariant of the engine or the store is broken.
pub fn play(text: &str) -> Result<String, String> {
    let script = Script::read(text)?;
    let mut stage: Option<Stage> = None;
    let mut played = String::new();
    for line in &script.lines {
        played.push_str(&line.text);
        played.push('\n');
        let Some(cue) = &line.cue else { continue };
        let stage = match &mut stage {
            Some(stage) => stage,
            None => stage.insert(Stage::new(&script.job, script.machine)?),
        };
        stage
            .play(cue)
            .map_err(|why| format!("line {}: `{}`: {why}", line.number, line.text))?;
        for said in stage.said() {
            let _ = writeln!(played, "    {said}");
        }
    }
    match stage {
        Some(stage) => stage.assert_sound(),
        None => return Err("nothing happens in it".to_owned()),
    }
    Ok(played)
}

/// Where two texts differ first, with the lines around it.
pub fn difference(recorded: &str, played: &str) -> Option<String> {
    if recorded == played {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (recorded.lines().collect(), played.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let after = |lines: &[&str]| {
        lines
            .iter()
            .skip(same)
            .take(6)
            .map(|line| format!("\n    {line}"))
            .collect::<String>()
    };
    let before = old[..same].iter().rev().find(|line| !line.starts_with(' '));
    Some(format!(
        "line {}, after `{}`:\n  recorded{}\n  played{}",
        same + 1,
        before.unwrap_or(&""),
        after(&old),
        after(&new)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# One that fails.\njob retries = 0\nsubmit 1\nexit 1 code 1\nstates\n";

    #[test]
    fn what_was_recorded_is_replaced() {
        let played = play(TEXT).expect("it plays");
        assert!(played.contains("\nexit 1 code 1\n    attempt 1.1: failed"), "{played}");
        assert_eq!(play(&played).expect("it plays again"), played);
        assert_eq!(difference(&played, &played), None);
    }

    #[test]
    fn what_comes_out_otherwise_is_shown_with_its_line() {
        let recorded = play(TEXT)
            .expect("it plays")
            .replace("task 1: failed", "task 1: succeeded");
        let difference = difference(&recorded, &play(&recorded).expect("it plays")).expect("they differ");
        assert!(difference.contains("after `exit 1 code 1`"), "{difference}");
        assert!(difference.contains("task 1: failed") && difference.contains("task 1: succeeded"));
    }

    #[test]
    fn a_line_that_cannot_be_is_refused() {
        let refused = |text: &str| play(text).expect_err("it cannot be played");
        assert!(refused("submit 1\nexit 2 code 0\n").starts_with("line 2: "));
        assert!(refused("submit 1\nexplode 1\n").contains("`explode 1`"));
        assert!(refused("job retires = 2\nsubmit 1\n").contains("retires"));
        assert!(refused("# Nothing.\n").contains("nothing happens"));
        assert!(refused("submit 1\npublished 1\n").contains("nothing to publish"));
    }
}

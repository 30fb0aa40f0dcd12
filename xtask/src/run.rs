//! Running commands where a person can follow.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// Why a task ended early, in words for its user.
pub(crate) type Outcome = Result<(), String>;

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// One line of progress on stderr.
pub(crate) fn say(line: &str) {
    // Progress that cannot be shown is no reason to fail.
    let _ = writeln!(std::io::stderr(), "xtask: {line}");
}

/// A command that runs in the workspace.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// `cargo` with `arguments`.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command(
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        arguments,
    )
}

/// Runs a command to its end and says how long it took.
pub(crate) fn run(mut command: Command) -> Outcome {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let shown = words.join(" ");
    say(&format!("$ {shown}"));
    let start = Instant::now();
    let status = command
        .status()
        .map_err(|error| format!("{shown}: {error}"))?;
    if !status.success() {
        return Err(format!("{shown}: {status}"));
    }
    say(&format!("  done in {:.1} s", start.elapsed().as_secs_f64()));
    Ok(())
}

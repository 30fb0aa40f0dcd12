//! Daemons in a namespace: output in a file, killed by pid, never outliving the test.
//!
//! A child becomes the leader of a process group of its own, so that helpers it forks end with
//! it, and asks for SIGKILL at the death of the thread that started it, so that it ends even when
//! the test is killed. Start long-lived processes from the thread that outlives them.
//!
//! One of the two rooms of the crate with unsafe code: the steps between `fork` and `exec`.

use crate::netns::Namespace;
use crate::{During, Error, Result, wait};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How many of the last lines of the output stand in a message.
const TAIL_LINES: usize = 15;

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` inside `namespace`; both outputs go to `DIR/NAME.log`, appended.
    ///
    /// # Errors
    /// When the program does not exist or cannot be started.
    pub fn start(
        namespace: &Namespace,
        name: &str,
        dir: &Path,
        mut command: Command,
    ) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .during(|| format!("opening {}", log.display()))
        };
        command
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .current_dir(dir)
            .process_group(0);
        enter_before_exec(&mut command, namespace);
        let child = command
            .spawn()
            .during(|| format!("starting {name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Fails when it has ended, with the end of its output.
    ///
    /// # Errors
    /// [`Error::Check`].
    pub fn check_alive(&mut self) -> Result<()> {
        let ended = self
            .child
            .try_wait()
            .during(|| format!("asking for {}", self.name))?;
        match ended {
            None => Ok(()),
            Some(status) => Err(Error::Check(format!(
                "{} has ended ({status}):\n{}",
                self.name,
                self.tail()
            ))),
        }
    }

    /// Ends it as a crash would: SIGKILL to it and to its helpers.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        // Nothing is left to do when it cannot be waited for: it has been already.
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it still runs after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<()> {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It may have ended already: then the wait below is over at once.
            let _ = nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let what = format!("the end of {}", self.name);
        wait::until(&what, limit, || match self.child.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Sends `signal` to the whole group.
    pub fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It may have ended already, which is as good.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }

    /// All of its output so far.
    pub fn output(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("{}: {error}", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The last lines of its output, for messages.
    pub fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let start = lines.len().saturating_sub(TAIL_LINES);
        lines.get(start..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command inside `namespace` to its end and answers what it wrote to its output.
///
/// # Errors
/// [`Error::Command`] when it fails, with both of its outputs.
pub fn ask(namespace: &Namespace, mut command: Command) -> Result<String> {
    command.stdin(Stdio::null());
    enter_before_exec(&mut command, namespace);
    let output = command.output().during(|| format!("running {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(Error::Command {
        command: format!("{command:?}"),
        status: output.status.to_string(),
        output: text + &String::from_utf8_lossy(&output.stderr),
    })
}

/// Makes the child enter `namespace` and ask for SIGKILL at its parent's death.
#[expect(unsafe_code, reason = "pre_exec; the proof stands at the block")]
fn enter_before_exec(command: &mut Command, namespace: &Namespace) {
    let descriptor = namespace.descriptor();
    let parent = nix::unistd::getpid();
    let enter = move || {
        // SAFETY: the descriptor belongs to the namespace that the caller of `start` or `ask`
        // borrows until after the spawn, and the child has a copy of the table.
        let namespace = unsafe { BorrowedFd::borrow_raw(descriptor) };
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
        // A program that waits for signals in a thread blocks them in all; its children must not.
        SigSet::empty().thread_set_mask()?;
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid() == parent {
            Ok(())
        } else {
            Err(nix::Error::ESRCH.into()) // the parent died before it could be asked for
        }
    };
    // SAFETY: between fork and exec only setns, pthread_sigmask, prctl and getppid are called,
    // which neither allocate nor lock.
    unsafe { command.pre_exec(enter) };
}

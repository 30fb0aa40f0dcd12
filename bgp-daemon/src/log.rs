//! Logs: `tracing`, as text for people or JSON for machines, on standard error.
//!
//! Every line about a session has the fields `peer` (its name) and `address`.
//!
//! # Never wait for the reader
//!
//! A line is written by a thread of its own, behind a bounded queue. Whoever logs never waits: a
//! pipe that nobody empties (a full disk behind `journald`, a terminal stopped by Ctrl-S) costs
//! log lines and nothing else, least of all a hold timer. Lost lines are counted, and the count
//! is the next line that gets through. This is own code rather than `tracing-appender`, which
//! drops silently, bounds its queue by lines of any length, and brings three more dependencies;
//! it is also what lets the process end in time although its output is stuck.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for the output. A line more is lost and counted.
pub const MAX_QUEUED: usize = 4_096;
/// Longest line, in octets. The rest of a longer one is cut off.
pub const MAX_LINE: usize = 8_192;
/// How long the end of the process waits for the output to take what is queued.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How soon a full queue is tried again at the end of the process.
const RETRY: Duration = Duration::from_millis(5);

/// What a line looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: time, level, text and fields.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Keeps the log going. When it is dropped, what is queued is written, as far as the output takes
/// it within half a second.
#[derive(Debug)]
pub struct Guard {
    queue: SyncSender<Entry>,
}

/// Sets up the log of this process. `level` is one of error, warn, info, debug and trace; without
/// it the environment variable `RUST_LOG` decides, and without that it is info.
///
/// # Errors
///
/// `level` or `RUST_LOG` cannot be read, or a log has been set up before.
pub fn set_up(format: Format, level: Option<&str>) -> Result<Guard, String> {
    let filter = filter(level, std::env::var("RUST_LOG").ok().as_deref())?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (writer, guard) = start(io::stderr(), format);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false);
    let outcome = match format {
        Format::Human => builder.with_ansi(colour).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    outcome.map_err(|error| error.to_string())?;
    Ok(guard)
}

fn filter(level: Option<&str>, environment: Option<&str>) -> Result<EnvFilter, String> {
    let environment = environment.filter(|directives| !directives.is_empty());
    if let Some(level) = level {
        return tracing::Level::from_str(level)
            .map(|level| EnvFilter::new(level.to_string()))
            .map_err(|_| format!("log level {level:?}: choose error, warn, info, debug or trace"));
    }
    let directives = environment.unwrap_or("info");
    EnvFilter::try_new(directives).map_err(|error| format!("RUST_LOG={directives:?}: {error}"))
}

enum Entry {
    Line(Vec<u8>),
    /// Answer when everything before this has been written.
    Flush(SyncSender<()>),
}

/// Takes whole lines and never waits.
#[derive(Clone)]
struct Writer {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

/// Starts the thread that writes to `output`.
fn start(output: impl Write + Send + 'static, format: Format) -> (Writer, Guard) {
    let (queue, entries) = mpsc::sync_channel(MAX_QUEUED);
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        queue: queue.clone(),
        lost: Arc::clone(&lost),
    };
    // Detached on purpose: it may be stuck in a write when the process ends.
    std::thread::spawn(move || write_all(output, &entries, &lost, format));
    (writer, Guard { queue })
}

fn write_all(mut output: impl Write, entries: &Receiver<Entry>, lost: &AtomicU64, format: Format) {
    while let Ok(entry) = entries.recv() {
        // There is nobody left to tell that the output is broken.
        let _ = match entry {
            Entry::Line(line) => {
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = output.write_all(lost_lines(lost, format).as_bytes());
                }
                output.write_all(&line)
            }
            Entry::Flush(done) => {
                let flushed = output.flush();
                let _ = done.try_send(());
                flushed
            }
        };
    }
}

fn lost_lines(count: u64, format: Format) -> String {
    match format {
        Format::Human => format!("{count} log lines were lost: the output is too slow\n"),
        Format::Json => format!(
            "{{\"level\":\"WARN\",\"message\":\"log lines were lost: the output is too slow\",\
             \"lost\":{count}}}\n"
        ),
    }
}

impl Write for Writer {
    /// Takes a whole line; `tracing_subscriber` hands over nothing else.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut kept = line.get(..MAX_LINE).unwrap_or(line).to_vec();
        if kept.len() < line.len() {
            kept.extend_from_slice("…\n".as_bytes());
        }
        match self.queue.try_send(Entry::Line(kept)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_WORDS;
        let (done, is_done) = mpsc::sync_channel(1);
        let mut flush = Entry::Flush(done);
        while let Err(TrySendError::Full(unsent)) = self.queue.try_send(flush) {
            if Instant::now() >= deadline {
                return;
            }
            flush = unsent;
            std::thread::sleep(RETRY);
        }
        let _ = is_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Collects what is written; each write waits for `gate`.
    struct Slow {
        gate: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.gate.recv().ok();
            self.written.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(format: Format) -> (Writer, Guard, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (open, gate) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let slow = Slow {
            gate,
            written: Arc::clone(&written),
        };
        let (writer, guard) = start(slow, format);
        (writer, guard, open, written)
    }

    #[test]
    fn a_stuck_output_costs_lines_and_says_how_many() {
        let (mut writer, guard, open, written) = slow(Format::Human);
        writer.write_all(b"first\n").unwrap();
        // One line is in the thread's hands or queued, so no more than this fit.
        for _ in 0..MAX_QUEUED + 10 {
            writer.write_all(b"more\n").unwrap();
        }
        let lost = writer.lost.load(Ordering::Relaxed);
        assert!((9..=11).contains(&lost), "{lost}");
        drop(open);
        drop(guard);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("first\n").count(), 1);
        assert!(text.contains(&format!(
            "{lost} log lines were lost: the output is too slow\n"
        )));
        let more = text.matches("more\n").count() as u64;
        assert_eq!(more + lost, MAX_QUEUED as u64 + 10);
    }

    #[test]
    fn the_end_does_not_wait_for_a_stuck_output() {
        let (mut writer, guard, open, _written) = slow(Format::Json);
        writer.write_all(b"never taken\n").unwrap();
        let begin = Instant::now();
        drop(guard);
        assert!(begin.elapsed() < LAST_WORDS * 4);
        drop(open);
    }

    #[test]
    fn a_line_is_cut_at_its_limit() {
        let (mut writer, guard, open, written) = slow(Format::Human);
        drop(open);
        writer.write_all(&[b'x'; MAX_LINE + 1]).unwrap();
        drop(guard);
        let text = written.lock().unwrap().clone();
        assert_eq!(text.len(), MAX_LINE + "…\n".len());
        assert!(text.ends_with("…\n".as_bytes()));
    }

    #[test]
    fn the_count_of_lost_lines_is_json_too() {
        let line = lost_lines(3, Format::Json);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["lost"], 3);
    }

    #[test]
    fn the_argument_goes_before_the_environment() {
        let level = |level, environment| filter(level, environment).map(|f| f.to_string());
        assert_eq!(level(Some("debug"), Some("error")), Ok("debug".to_owned()));
        assert_eq!(
            level(None, Some("bgp_io=trace")),
            Ok("bgp_io=trace".to_owned())
        );
        assert_eq!(level(None, Some("")), Ok("info".to_owned()));
        assert_eq!(level(None, None), Ok("info".to_owned()));
        assert!(
            level(Some("loud"), None)
                .unwrap_err()
                .contains("choose error, warn")
        );
        assert!(level(None, Some("a=b=c")).is_err());
    }
}

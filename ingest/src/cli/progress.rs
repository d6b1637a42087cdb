//! How far a command is: a bar on a terminal, a line every few seconds elsewhere, nothing when quiet.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use vestore_ingest::Progress;
use vestore_schema::Shard;

use super::shared::{event, now};

/// Interval between progress lines without a terminal.
const EVERY: Duration = Duration::from_secs(5);
/// The unit that is shown as kB, MB or GB.
const BYTES: &str = "bytes";

/// Shows how far a command is.
pub(super) struct Bar {
    quiet: bool,
    /// What events say of the run; none where they are not events.
    run: Option<Run>,
    shown: Mutex<Shown>,
}

/// What every event of a run has.
struct Run {
    device: String,
    shard: Option<Shard>,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines(Lines),
}

/// What the next line needs.
struct Lines {
    unit: &'static str,
    first: u64,
    done: u64,
    total: u64,
    note: String,
    started: Instant,
    printed: Instant,
}

impl Bar {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, run: None, shown: Mutex::new(Shown::Nothing) }
    }

    /// Prints events instead, for programs.
    pub(super) fn events(device: &str, shard: Option<Shard>) -> Self {
        let run = Some(Run { device: device.to_owned(), shard });
        Self { quiet: false, run, shown: Mutex::new(Shown::Nothing) }
    }

    /// Prints how far it is.
    fn tell(&self, event_name: &str, lines: &Lines) {
        let Some(run) = &self.run else {
            // Nobody may be reading; the work continues.
            let _ = stderr().write_all(lines.line().as_bytes());
            return;
        };
        let seconds_left = lines.left().map(|left| left.as_secs_f64());
        event(
            event_name,
            [
                ("unit", lines.unit.into()),
                ("done", lines.done.into()),
                ("total", lines.total.into()),
                ("rate", lines.rate().into()),
                ("seconds_left", seconds_left.into()),
                ("device", run.device.as_str().into()),
                ("memory", resident().into()),
                ("shard", run.shard.map(|shard| shard.to_string()).into()),
            ],
        );
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bar {
    fn begin(&self, unit: &'static str, done: u64, total: u64) {
        *self.shown() = if self.quiet {
            Shown::Nothing
        } else if stderr().is_terminal() && self.run.is_none() {
            Shown::Bar(drawn(unit, done, total))
        } else {
            let now = Instant::now();
            let note = String::new();
            let lines = Lines { unit, first: done, done, total, note, started: now, printed: now };
            if self.run.is_some() {
                self.tell("begin", &lines);
            }
            Shown::Lines(lines)
        };
    }

    fn advance(&self, more: u64) {
        match &mut *self.shown() {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(more),
            Shown::Lines(lines) => {
                lines.done += more;
                if lines.printed.elapsed() >= EVERY && lines.done < lines.total {
                    lines.printed = Instant::now();
                    self.tell("progress", lines);
                }
            }
        }
    }

    fn note(&self, note: &str) {
        let note = if note.is_empty() { String::new() } else { format!(", {note}") };
        match &mut *self.shown() {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.set_message(note),
            Shown::Lines(lines) => lines.note = note,
        }
    }

    fn finish(&self) {
        match &*self.shown() {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(lines) if self.run.is_some() => self.tell("end", lines),
            Shown::Lines(_) | Shown::Nothing => {}
        }
    }
}

impl Lines {
    fn line(&self) -> String {
        let count = |count: u64| match self.unit {
            BYTES => DecimalBytes(count).to_string(),
            _ => count.to_string(),
        };
        let left = self.left();
        let left = left.map_or("an unknown time".to_owned(), |left| format!("{:#}", HumanDuration(left)));
        format!(
            "{} {}/{}{}, {}, {left} left{}\n",
            vestore::utc(now()),
            count(self.done),
            count(self.total),
            unit_text(self.unit),
            per_second(self.unit, self.rate()),
            self.note
        )
    }

    /// Units per second.
    fn rate(&self) -> f64 {
        (self.done - self.first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    fn left(&self) -> Option<Duration> {
        Duration::try_from_secs_f64((self.total - self.done) as f64 / self.rate()).ok()
    }
}

/// Bytes of memory that the process has; none where the system does not say.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn drawn(unit: &'static str, done: u64, total: u64) -> ProgressBar {
    let count = if unit == BYTES { "{decimal_bytes}/{decimal_total_bytes}" } else { "{pos}/{len}" };
    let template = format!("{{bar:30}} {count}{}, {{rate}}, {{left}} left{{msg}}", unit_text(unit));
    let style = ProgressStyle::with_template(&template)
        .expect("the template is well-formed; this is a bug")
        .with_key("rate", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&per_second(unit, state.per_sec()));
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:#}", HumanDuration(state.eta()));
        });
    let bar = ProgressBar::new(total).with_style(style).with_position(done);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// The unit as it follows a count; bytes bring theirs.
fn unit_text(unit: &str) -> String {
    if unit == BYTES { String::new() } else { format!(" {unit}") }
}

fn per_second(unit: &str, rate: f64) -> String {
    if unit == BYTES {
        return format!("{} MB/s", significant(rate / 1e6));
    }
    format!("{}/s", significant(rate))
}

/// A rate with two significant digits at least: a full-length window may take minutes.
pub(super) fn significant(rate: f64) -> String {
    match rate {
        10.0.. => format!("{rate:.0}"),
        1.0..10.0 => format!("{rate:.1}"),
        0.1..1.0 => format!("{rate:.2}"),
        _ => format!("{rate:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, per_second, significant, unit_text};

    #[test]
    fn bytes_are_told_in_megabytes() {
        assert_eq!(per_second(BYTES, 12_300_000.0), "12 MB/s");
        assert_eq!((unit_text(BYTES), unit_text("steps")), (String::new(), " steps".to_owned()));
    }

    #[test]
    fn slow_rates_keep_their_digits() {
        let shown = [155.4, 10.0, 5.02, 0.171, 0.00562].map(significant);
        assert_eq!(shown, ["155", "10", "5.0", "0.17", "0.0056"]);
    }
}

//! How far a command is: a bar on a terminal, a line every few seconds elsewhere, nothing when quiet.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use vestore_ingest::Progress;

/// Interval between progress lines without a terminal.
const EVERY: Duration = Duration::from_secs(5);
/// The unit that is shown as kB, MB or GB.
const BYTES: &str = "bytes";

/// Shows how far a command is.
pub(super) struct Bar {
    quiet: bool,
    shown: Mutex<Shown>,
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
        Self { quiet, shown: Mutex::new(Shown::Nothing) }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bar {
    fn begin(&self, unit: &'static str, done: u64, total: u64) {
        *self.shown() = if self.quiet {
            Shown::Nothing
        } else if stderr().is_terminal() {
            Shown::Bar(drawn(unit, done, total))
        } else {
            let now = Instant::now();
            let note = String::new();
            Shown::Lines(Lines { unit, first: done, done, total, note, started: now, printed: now })
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
                    // Nobody may be reading; the work continues.
                    let _ = stderr().write_all(lines.line().as_bytes());
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
        if let Shown::Bar(bar) = &*self.shown() {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn line(&self) -> String {
        let rate = (self.done - self.first) as f64 / self.started.elapsed().as_secs_f64();
        let count = |count: u64| match self.unit {
            BYTES => DecimalBytes(count).to_string(),
            _ => count.to_string(),
        };
        let left = Duration::try_from_secs_f64((self.total - self.done) as f64 / rate);
        let left = left.map_or("an unknown time".to_owned(), |left| format!("{:#}", HumanDuration(left)));
        format!(
            "{}/{}{}, {}, {left} left{}\n",
            count(self.done),
            count(self.total),
            unit_text(self.unit),
            per_second(self.unit, rate),
            self.note
        )
    }
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

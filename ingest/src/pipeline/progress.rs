//! How far a run is: a bar on a terminal, a line every few seconds elsewhere, nothing when quiet.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

/// Time between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Tells how far a run is.
pub struct Progress(Mode);

enum Mode {
    Quiet,
    Bar(ProgressBar),
    Lines { unit: &'static str, total: u64, first: u64, started: Instant, told: Mutex<Told> },
}

struct Told {
    done: u64,
    at: Instant,
    note: String,
}

impl Progress {
    /// Progress over `total` of `unit`, such as variants or steps, of which `done` were done before.
    #[must_use]
    pub fn new(unit: &'static str, done: u64, total: u64, quiet: bool) -> Self {
        if quiet {
            return Self(Mode::Quiet);
        }
        if !stderr().is_terminal() {
            let now = Instant::now();
            let told = Mutex::new(Told { done, at: now, note: String::new() });
            return Self(Mode::Lines { unit, total, first: done, started: now, told });
        }
        let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{rate}}, {{left}} left{{msg}}");
        let style = ProgressStyle::with_template(&template)
            .expect("the template is well-formed; this is a bug")
            .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = match state.per_sec() {
                    rate if rate < 10.0 => write!(out, "{rate:.1}/s"),
                    rate => write!(out, "{rate:.0}/s"),
                };
            })
            .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:#}", HumanDuration(state.eta()));
            });
        let bar = ProgressBar::new(total).with_style(style).with_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(Mode::Bar(bar))
    }

    /// Says something beside the count.
    pub fn note(&self, note: &str) {
        let note = format!(", {note}");
        match &self.0 {
            Mode::Quiet => {}
            Mode::Bar(bar) => bar.set_message(note),
            Mode::Lines { told, .. } => {
                if let Ok(mut told) = told.lock() {
                    told.note = note;
                }
            }
        }
    }

    /// Counts `more`.
    pub fn advance(&self, more: u64) {
        match &self.0 {
            Mode::Quiet => {}
            Mode::Bar(bar) => bar.inc(more),
            Mode::Lines { unit, total, first, started, told } => {
                let Ok(mut told) = told.lock() else { return };
                told.done += more;
                if told.at.elapsed() >= EVERY && told.done < *total {
                    told.at = Instant::now();
                    let rate = (told.done - first) as f64 / started.elapsed().as_secs_f64();
                    let left = Duration::try_from_secs_f64((total - told.done) as f64 / rate).ok();
                    let left = left
                        .map_or("an unknown time".to_owned(), |left| format!("{:#}", HumanDuration(left)));
                    let shown = if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
                    let line = format!("{}/{total} {unit}, {shown}/s, {left} left{}\n", told.done, told.note);
                    let _ = stderr().write_all(line.as_bytes());
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Mode::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

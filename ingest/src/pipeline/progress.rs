//! How far a run is: a bar on a terminal, a line every few seconds elsewhere, nothing when quiet.

use std::fmt::Write as _;
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
    Lines { total: u64, noun: &'static str, started: Instant, told: Mutex<(u64, Instant)> },
}

impl Progress {
    /// Progress over `total` variants.
    #[must_use]
    pub fn new(total: u64, quiet: bool) -> Self {
        Self::counting(total, "variants", quiet)
    }

    /// Progress over `total` of what `noun` calls them.
    #[must_use]
    pub fn counting(total: u64, noun: &'static str, quiet: bool) -> Self {
        if quiet {
            return Self(Mode::Quiet);
        }
        if !stderr().is_terminal() {
            let now = Instant::now();
            return Self(Mode::Lines { total, noun, started: now, told: Mutex::new((0, now)) });
        }
        let template = format!("{{bar:30}} {{pos}}/{{len}} {noun}, {{rate}}, {{left}} left");
        let style = ProgressStyle::with_template(&template)
            .expect("the template is well-formed; this is a bug")
            .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            })
            .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:#}", HumanDuration(state.eta()));
            });
        let bar = ProgressBar::new(total).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(Mode::Bar(bar))
    }

    /// Counts `more` of them.
    pub fn advance(&self, more: u64) {
        match &self.0 {
            Mode::Quiet => {}
            Mode::Bar(bar) => bar.inc(more),
            Mode::Lines { total, noun, started, told } => {
                let Ok(mut told) = told.lock() else { return };
                told.0 += more;
                if told.1.elapsed() >= EVERY && told.0 < *total {
                    told.1 = Instant::now();
                    let rate = told.0 as f64 / started.elapsed().as_secs_f64();
                    let left = Duration::from_secs_f64((total - told.0) as f64 / rate.max(1e-9));
                    let mut line = String::new();
                    let _ = writeln!(
                        line,
                        "{}/{total} {noun}, {rate:.0}/s, {:#} left",
                        told.0,
                        HumanDuration(left)
                    );
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

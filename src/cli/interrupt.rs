//! SIGINT, SIGTERM and SIGHUP: leave no half-written output behind.

use std::fs;

use anyhow::Context;

/// What shells report for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Ends the program when the user wants to stop. What it was writing to a store is left as by a crash, which the next
/// writer cleans up.
pub(super) fn watch() -> anyhow::Result<()> {
    if ignores_hangup() {
        return Ok(());
    }
    #[expect(clippy::exit, reason = "the thread that hears of signals cannot return from main")]
    ctrlc::set_handler(|| {
        vestore::remove_unfinished_outputs();
        std::process::exit(INTERRUPTED);
    })
    .context("cannot watch for interrupts")
}

/// Whether the caller, `nohup` for instance, wants the program to outlive its terminal: a handler would end that.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, SIGHUP.
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

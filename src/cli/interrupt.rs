//! SIGINT, SIGTERM and SIGHUP: leave no half-written output behind.

use anyhow::Context;

use super::shared::INTERRUPTED;

/// Ends the program when the user wants to stop. What it was writing to a store is left as by a crash, which the next
/// writer cleans up.
pub(super) fn watch() -> anyhow::Result<()> {
    #[expect(clippy::exit, reason = "the thread that hears of signals cannot return from main")]
    vestore::on_interrupt(|| {
        vestore::remove_unfinished_outputs();
        std::process::exit(INTERRUPTED.into());
    })
    .context("cannot watch for interrupts")
}

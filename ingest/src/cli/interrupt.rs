//! SIGINT and SIGTERM: finish the unit or step in hand, then stop; a second one stops at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use vestore_ingest::Interrupt;

use super::shared::{INTERRUPTED, say};

/// Interrupted.
pub(super) fn code() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

/// Whether nothing is in hand that would have to be finished.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Runs `wait`, which changes nothing: the wish to stop ends it at once.
pub(super) fn while_waiting<T>(wait: impl FnOnce() -> T) -> T {
    WAITING.store(true, Ordering::Relaxed);
    let done = wait();
    WAITING.store(false, Ordering::Relaxed);
    done
}

/// Watches for the wish to stop, and acknowledges it.
pub(super) fn watch() -> anyhow::Result<Arc<Interrupt>> {
    let interrupt = Arc::new(Interrupt::default());
    let set = Arc::clone(&interrupt);
    let stop = move || {
        if set.set() && !WAITING.load(Ordering::Relaxed) {
            say(format_args!(
                "interrupted: finishing what is in hand; interrupt again to stop at once, losing no more than that"
            ));
            return;
        }
        end();
    };
    vestore::on_interrupt(stop).context("cannot watch for interrupts")?;
    Ok(interrupt)
}

/// Ends a command that has nothing to finish when the user wants to stop; half-written outputs go.
pub(super) fn end_at_once() -> anyhow::Result<()> {
    vestore::on_interrupt(|| end()).context("cannot watch for interrupts")
}

/// As [`end_at_once`], of a command that continues where it was.
pub(super) fn end_resumable() -> anyhow::Result<()> {
    let stop = || {
        say(format_args!("interrupted: the same command continues from there"));
        end()
    };
    vestore::on_interrupt(stop).context("cannot watch for interrupts")
}

fn end() -> ! {
    vestore::remove_unfinished_outputs();
    #[expect(unsafe_code, reason = "the threads of libtorch must not be torn down under their work")]
    // SAFETY: ends the process as a kill would, which the store and the training state are made for.
    unsafe {
        libc::_exit(INTERRUPTED.into())
    }
}

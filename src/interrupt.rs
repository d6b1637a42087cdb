//! SIGINT, SIGTERM and SIGHUP.

use std::{fs, io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `stop`, on a thread of its own, each time that the program is asked to end. SIGHUP does not ask where the
/// caller, `nohup` for instance, wants the program to outlive its terminal.
///
/// # Errors
/// When the system refuses.
pub fn on_interrupt(mut stop: impl FnMut() + Send + 'static) -> io::Result<()> {
    // SIGINT counts although shells have background commands ignore it: schedulers send it to them.
    let mut watched = vec![SIGINT, SIGTERM];
    if !ignores_hangup() {
        watched.push(SIGHUP);
    }
    let mut signals = Signals::new(watched)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            stop();
        }
    })?;
    Ok(())
}

fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, SIGHUP.
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

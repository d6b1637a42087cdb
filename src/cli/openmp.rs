//! How the threads of the engine's arithmetic behave. OpenMP reads its environment when it is loaded, so whoever
//! starts the engine settles it.

use std::env;
use std::thread::available_parallelism;

/// Variables that say how idle threads wait. Whoever sets one of them has settled it.
const WAITING: [&str; 3] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"];

/// The variable that says how many threads there are.
const THREADS: &str = "OMP_NUM_THREADS";

/// Rounds that an idle thread spins before it sleeps: as many as GNU's OpenMP lets it where it sees more threads than
/// cores, which it does not see when they belong to two processes. Its usual 300,000 take the other's cores.
const SPINS: u32 = 1000;

/// What the user's environment leaves open, settled: idle threads sleep soon, and there are as many as the process may
/// use cores. By itself OpenMP knows nothing of the limits of control groups.
pub(super) fn settings() -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if !WAITING.iter().any(|name| is_set(name)) {
        settings.push(("GOMP_SPINCOUNT", SPINS.to_string()));
    }
    if !is_set(THREADS) {
        settings.extend(available_parallelism().map(|cores| (THREADS, cores.to_string())));
    }
    settings
}

/// The variables that the user has set, with their values.
pub(super) fn given() -> Vec<(&'static str, String)> {
    let names = WAITING.into_iter().chain([THREADS]).filter(|name| is_set(name));
    names.map(|name| (name, env::var_os(name).unwrap_or_default().to_string_lossy().into_owned())).collect()
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

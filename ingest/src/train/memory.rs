//! The most memory that this process has had, where the system tells (Linux: `VmHWM` of proc(5)).

/// Begins to count anew.
pub(super) fn reset_peak() {
    // Refused where the file system is read-only: the peak is then that of the whole process, an upper bound.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Bytes since the last [`reset_peak`].
pub(super) fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

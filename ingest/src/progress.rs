//! How far a long computation is.

/// Follows a computation; command lines draw it.
pub trait Progress: Sync {
    /// Begins to count to `total` of `unit`, such as variants or steps, of which `done` were done before.
    fn begin(&self, unit: &'static str, done: u64, total: u64);
    /// Counts `more`.
    fn advance(&self, more: u64);
    /// Shows `note` beside the count; nothing when it is empty.
    fn note(&self, note: &str);
    /// Ends the count, also before the total.
    fn finish(&self);
}

/// Shows nothing.
impl Progress for () {
    fn begin(&self, _: &'static str, _: u64, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn finish(&self) {}
}

//! Checks the trunk against the numbers of the reference implementations, and against itself.

mod golden;
mod support;

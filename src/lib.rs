//! vestore: an embedded store for variant effects.

#[cfg(test)]
mod fixture;
mod reference;

pub use reference::{Reference, ReferenceError};

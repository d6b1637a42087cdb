//! vestore: an embedded store for variant effects.

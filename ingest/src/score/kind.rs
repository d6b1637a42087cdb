//! The kinds of scores are part of a track's identity, so the schema names them.

pub(crate) use vestore_schema::{ScoreKind, Strands};

//! Tests of coverage against a plain model of every base.

mod bigwig;
mod files;
mod sequences;
mod support;
mod values;

//! Tests of coverage against a plain model of every base.

mod bigwig;
mod expression;
mod figures;
mod files;
mod kmers;
mod sequences;
mod support;
mod values;

//! Checks the trunk against the numbers of the reference implementations, against a plain second implementation, and
//! what is refused.

mod adapters;
mod genes;
mod golden;
mod identity;
mod naive;
mod support;

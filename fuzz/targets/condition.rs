//! Conditions of `--where`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(vestore::Filter::parse(text)));

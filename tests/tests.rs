//! All tests that go through more than one module: of the store's library, and of both programs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the numbers of tests are small"
)]

mod ablation;
mod browser;
mod calibrate;
mod command_line;
mod completions;
mod crash;
mod damage;
mod doctor;
mod effects;
mod evaluate;
mod faults;
mod fidelity;
mod finetuning;
mod forged;
mod format1;
mod golden;
mod hostile;
mod hub;
mod injected;
mod install;
mod interrupt;
mod kill;
mod libtorch;
mod links;
mod medium;
mod model;
mod model_files;
mod mutations;
mod names;
mod outputs;
mod precision;
mod pretraining;
mod probe;
mod processes;
mod programs;
mod publish;
mod recipes;
mod ref_mismatch;
mod reference;
mod regulatory;
mod remote;
mod rescore;
mod shards;
mod similar;
mod splice;
mod store;
mod store_annotate;
mod store_compact;
mod store_diff;
mod store_export;
mod store_import;
mod store_many_contigs;
mod store_presets;
mod store_query;
mod store_remove;
mod store_tables;
mod study;
mod study_report;
mod support;
mod tokenizer;
mod transfer;
mod view;

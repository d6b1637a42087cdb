//! The memory of attention grows with the length and not with its square. Measured in processes of their own,
//! because what other tests take would count too.

use std::process::Command;

use crate::support::{checkpoint, directory, load};
use tch::Tensor;
use vestore_ingest::ModelSource;
use vestore_ingest::synthetic::SyntheticFamily;

const TOKENS: &str = "VESTORE_TEST_TOKENS";

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("kilobytes") * 1024
}

/// Does nothing unless it is started by the test below.
#[test]
fn one_forward_pass() {
    let Ok(tokens) = std::env::var(TOKENS) else { return };
    let tokens: i64 = tokens.parse().expect("a number");
    let root = directory();
    let model = load(&ModelSource::new(checkpoint(root.path(), SyntheticFamily::Dnabert2, None)));
    let run = |tokens: i64| {
        let ids: Vec<i64> = (0..tokens).map(|place| 5 + place % 60).collect();
        drop(model.hidden(&Tensor::from_slice(&ids).view([1, tokens])).expect("hidden states"));
    };
    run(64);
    let before = peak();
    run(tokens);
    println!("\ngrew {}", peak() - before);
}

#[test]
fn four_times_the_tokens_take_no_more_than_four_times_the_memory() {
    let grown = |tokens: u64| -> u64 {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "memory::one_forward_pass", "--nocapture"])
            .env(TOKENS, tokens.to_string())
            .output()
            .expect("a child");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        let line = said.lines().find_map(|line| line.strip_prefix("grew ")).expect("a figure");
        line.parse().expect("bytes")
    };
    let (short, long) = (grown(4096), grown(16_384));
    println!("4,096 tokens: {short} bytes; 16,384 tokens: {long} bytes");
    // One matrix of four heads × 16,384² would be 4.3 GB.
    assert!(long < 4 * short.max(64 << 20), "{short} {long}");
    assert!(long < 600 << 20, "{long}");
}

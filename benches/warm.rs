//! Warm figures of the library, for `make bench-store`: asks one open store for regions in a loop and prints
//! the seconds of each answer as JSON.
//!
//! `warm [--wide] STORE REGIONS [TRACK …]`: REGIONS is a file of lines such as `chr1:1000-2000`; without a track,
//! all. `--wide` asks for one row per variant.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use vestore::{Answer, Places, Question, Store};
use vestore_schema::Region;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let wide = words.first().is_some_and(|word| word == "--wide");
    if wide {
        words.remove(0);
    }
    let [store, regions, tracks @ ..] = words.as_slice() else {
        return Err("usage: warm [--wide] STORE REGIONS [TRACK ...]".into());
    };
    let store = Store::open(Path::new(store))?;
    let mut seconds = Vec::new();
    let mut rows = Vec::new();
    for line in std::fs::read_to_string(regions)?.lines() {
        let region = Region::parse(line, store.assembly())?;
        let places = Places { regions: vec![region], asked: true, ..Places::default() };
        let question = Question { places, tracks: tracks.to_vec(), wide, ..Question::default() };
        let started = Instant::now();
        let answer = Answer::new(&store, question)?;
        let batches = answer.rows(|_| ())?.collect::<Result<Vec<_>, _>>()?;
        seconds.push(started.elapsed().as_secs_f64());
        rows.push(batches.iter().map(|batch| batch.num_rows()).sum::<usize>());
    }
    println!("{}", serde_json::json!({ "seconds": seconds, "rows": rows }));
    Ok(())
}

//! Warm figures of the library, for `make bench-store`: asks one open store for regions in a loop and prints
//! the seconds of each answer as JSON.
//!
//! `warm STORE REGIONS [TRACK …]`: REGIONS is a file of lines such as `chr1:1000-2000`; without a track, all.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use vestore::{QueryPlan, Request, Store};
use vestore_schema::Region;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, regions, tracks @ ..] = words.as_slice() else {
        return Err("usage: warm STORE REGIONS [TRACK ...]".into());
    };
    let store = Store::open(Path::new(store))?;
    let mut seconds = Vec::new();
    let mut rows = Vec::new();
    for line in std::fs::read_to_string(regions)?.lines() {
        let region = Region::parse(line, store.assembly())?;
        let request = Request { regions: vec![region], tracks: tracks.to_vec(), ..Request::default() };
        let started = Instant::now();
        let plan = QueryPlan::new(&store, &request)?;
        let batches = plan.rows().collect::<Result<Vec<_>, _>>()?;
        seconds.push(started.elapsed().as_secs_f64());
        rows.push(batches.iter().map(|batch| batch.num_rows()).sum::<usize>());
    }
    println!("{}", serde_json::json!({ "seconds": seconds, "rows": rows }));
    Ok(())
}

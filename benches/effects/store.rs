//! A store of effects.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use vestore::{Disk, EffectRow, Reference, ScoreRow, Store, effect_batches, score_batch};
use vestore_schema::{
    AblatedPart, Digest, Dtype, Position, Recipe, Run, Status, StoreRecord, Strands, Table, Track, Variant,
};

use super::{Numbers, Outcome, TARGETS};

/// Variants of a unit.
const UNIT: usize = 1000;

fn track(names: &[String]) -> Outcome<Track> {
    let recipe = Recipe {
        scores: vec!["log-sum".to_owned()],
        window: 524_288,
        strands: Strands::Both,
        dtype: Dtype::F32,
        precision: None,
        part: AblatedPart::default(),
        splice: None,
        regulatory: None,
    };
    let columns = vec!["log_sum_max_abs".to_owned()];
    let track = Track::new("t", "model", Digest::of(b"model"), recipe, columns)?;
    Ok(track.with_effects(vec!["log_sum".to_owned()], names))
}

/// Every SNV of random bases, until there are `variants`.
#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
pub(crate) fn fill(folder: &Path, variants: usize) -> Outcome<()> {
    let mut random = Numbers(11);
    let length = variants.div_ceil(3) + 1000;
    let bases: Vec<u8> = (0..length)
        .map(|_| b"ACGT"[usize::from(random.uniform() < 0.5) + 2 * usize::from(random.uniform() < 0.5)])
        .collect();
    let fasta = folder.join("genome.fa");
    std::fs::create_dir_all(folder)?;
    std::fs::write(&fasta, format!(">1\n{}\n", String::from_utf8(bases.clone())?))?;
    let assembly = Reference::open(&fasta)?.survey()?;
    let record = StoreRecord { reference: fasta.display().to_string(), copied: false, assembly };
    let root = folder.join("store");
    let store = Store::create(&root, Arc::new(Disk::new(&root)), record)?;
    let names: Vec<String> = (0..TARGETS).map(|target| format!("target {target}")).collect();
    let track = track(&names)?;
    let mut writer = store.writer("bench")?;
    writer.put_track_with_targets(&track, &names)?;
    let snvs = bases.iter().enumerate().flat_map(|(place, base)| {
        b"ACGT".iter().filter(move |letter| *letter != base).map(move |letter| (place, *base, *letter))
    });
    let mut snvs = snvs.take(variants).peekable();
    let scales: Vec<f32> = (0..TARGETS).map(|_| (3.0 * random.normal()).exp()).collect();
    let (mut number, started) = (0, Instant::now());
    while snvs.peek().is_some() {
        let (mut scores, mut effects) = (Vec::new(), Vec::new());
        for (place, base, letter) in snvs.by_ref().take(UNIT) {
            let position = Position::from_one_based(place as u64 + 1).ok_or("no position")?;
            let [reference, alternate] = [base, letter].map(|letter| char::from(letter).to_string());
            let variant =
                Variant { contig: 0, position, reference: reference.into(), alternate: alternate.into() };
            let size = (2.0 * random.normal()).exp() * 1e-2;
            let list: Vec<f32> = scales.iter().map(|scale| scale * size * random.normal()).collect();
            let largest = list.iter().map(|value| value.abs()).reduce(f32::max);
            scores.push(ScoreRow { variant: variant.clone(), values: vec![largest], status: Status::Scored });
            effects.push(EffectRow::new(variant, vec![list], Status::Scored));
        }
        number += 1;
        let batch = score_batch(&track, &scores);
        let mut segments = Vec::new();
        segments.extend(writer.write(Table::Scores, &track, None, 0, [batch])?);
        segments.extend(writer.write(Table::Effects, &track, None, 0, effect_batches(&track, &effects))?);
        writer.commit(&segments, &run(number, &track))?;
    }
    println!("written in {:.1} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let done = writer.compact(|_| {})?;
    let each = done.bytes_after as f64 / (variants * TARGETS) as f64;
    println!(
        "compacted in {:.1} s to {} files, {each:.3} bytes a number",
        started.elapsed().as_secs_f64(),
        done.after
    );
    Ok(())
}

fn run(number: u64, track: &Track) -> Run {
    Run {
        number,
        track: track.name.clone(),
        table: Table::Effects,
        plan: Digest::of(b"plan"),
        shard: None,
        embeddings: false,
        variants: None,
        merged: None,
        program: "bench".to_owned(),
        device: "cpu".to_owned(),
        threads: 1,
        batch_tokens: None,
        started: 0,
        finished: None,
        units: 1,
        committed: 1,
        rows: UNIT as u64,
        remarks: Vec::new(),
        layers: Vec::new(),
    }
}

//! What the sections share: checkpoints, runs of the whole pipeline into a store, token ids for the baseline.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use arrow::array::{Array, Float32Array};
use tempfile::TempDir;
use vestore::{Disk, Plan, PlanOptions, QueryPlan, Reference, Report, Request, Store};
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};
use vestore_ingest::{
    CPU_BATCH_TOKENS, ContigEnd, Device, EncoderScorer, Interrupt, Job, Kind, Model, ModelSource, Outcome,
    Scorer, Strands, Tokenizer, WindowCutter, describe, encoder_cost, grid_window_start, new_run, record_of,
    reverse_complement, unit_size,
};
use vestore_schema::{AblatedPart, Assembly, Dtype, Position, Recipe, Region, StoreRecord, Track, Variant};

use crate::baseline::Task;

const GENOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mitochondrion.fa");

/// DNABERT-2 117M.
pub(crate) const DNABERT2: SyntheticShape = SyntheticShape {
    family: SyntheticFamily::Dnabert2,
    layers: 12,
    hidden: 768,
    heads: 12,
    ffn: 3072,
    labels: None,
};

/// A recipe of one score kind.
pub(crate) fn recipe(kind: &str, window: u32, strands: Strands, dtype: Dtype) -> Recipe {
    let part = AblatedPart::default();
    Recipe {
        scores: vec![kind.to_owned()],
        window,
        strands,
        dtype,
        precision: None,
        part,
        splice: None,
        regulatory: None,
    }
}

/// A checkpoint on disk and a genome.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) reference: Reference,
    pub(crate) assembly: Assembly,
}

/// What a run through the whole pipeline gave.
pub(crate) struct Scored {
    pub(crate) outcome: Outcome,
    /// From the first variant to the last commit.
    pub(crate) seconds: f64,
    /// The columns asked for, row by row.
    pub(crate) columns: Vec<Vec<f32>>,
}

impl Bench {
    pub(crate) fn new(shape: SyntheticShape) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        write_checkpoint(&folder.path().join("checkpoint"), &shape, 1)?;
        let mut reference = Reference::open(GENOME)?;
        let assembly = reference.survey()?;
        Ok(Self { folder, reference, assembly })
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.folder.path().join("checkpoint")
    }

    pub(crate) fn load(&self, kind: Kind) -> anyhow::Result<Model> {
        Ok(Model::load(&ModelSource::new(self.checkpoint()), Device::Cpu, kind)?)
    }

    /// One SNV at each of `sites` positions, far enough from the ends for every window.
    pub(crate) fn snvs(&self, sites: u32) -> anyhow::Result<Vec<Variant>> {
        let mut reference = self.reference.reopen()?;
        let mut variants = Vec::new();
        for position in (0..sites).map(|site| 4_000 + site * 61 % 8_000) {
            let base = reference.fetch(Region { contig: 0, start: position, end: position + 1 })?[0];
            variants.push(snv(position, base, if base == b'A' { b'G' } else { b'A' }));
        }
        variants.sort_by_key(|variant| variant.position);
        variants.dedup_by_key(|variant| variant.position);
        Ok(variants)
    }

    /// Every SNV of a region.
    pub(crate) fn saturation(&self, region: Region) -> anyhow::Result<Vec<Variant>> {
        let bases = self.reference.reopen()?.fetch(region)?.clone();
        let site = |(position, base): (u32, u8)| {
            b"ACGT".iter().filter(move |other| **other != base).map(move |other| snv(position, base, *other))
        };
        Ok((region.start..region.end).zip(bases).flat_map(site).collect())
    }

    /// A plan of these variants, through a VCF file as users have it.
    pub(crate) fn plan(&self, variants: &[Variant]) -> anyhow::Result<Plan> {
        let name = &self.assembly.contigs[0].name;
        let mut text = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n".to_owned();
        for variant in variants {
            let position = variant.position.one_based();
            let (reference, alternate) = (&variant.reference, &variant.alternate);
            writeln!(text, "{name}\t{position}\t.\t{reference}\t{alternate}\t.\t.\t.")?;
        }
        let path = self.folder.path().join("variants.vcf");
        std::fs::write(&path, text)?;
        let mut reference = self.reference.reopen()?;
        let options = PlanOptions::default();
        Ok(Plan::read(
            vestore::open_variants(&path)?,
            &mut reference,
            &self.assembly,
            &options,
            &mut Report::new(),
        )?)
    }

    /// Scores a plan into a new store.
    pub(crate) fn score(
        &self,
        kind: &str,
        window: u32,
        dtype: Dtype,
        plan: &Plan,
        columns: &[&str],
    ) -> anyhow::Result<Scored> {
        let source = ModelSource::new(self.checkpoint());
        let root = tempfile::tempdir()?;
        let record =
            StoreRecord { reference: GENOME.to_owned(), copied: false, assembly: self.assembly.clone() };
        let store = Store::create(
            &root.path().join("store"),
            Arc::new(Disk::new(&root.path().join("store"))),
            record,
        )?;
        let path = source.checkpoint.to_str().context("a path of UTF-8")?.to_owned();
        let record = record_of("model", describe(&source)?, path, None);
        let recipe = recipe(kind, window, Strands::Both, dtype);
        let model = self.load(if dtype == Dtype::Bf16 { Kind::BFloat16 } else { Kind::Float })?;
        let scorer = EncoderScorer::new(&model, &recipe, false, CPU_BATCH_TOKENS)?;
        let cost = encoder_cost(&record, &recipe, false, false)?;
        let track = Track::new("track", "model", record.id, recipe, scorer.columns())?;
        let mut writer = store.writer("bench")?;
        writer.put_model(&record)?;
        writer.put_track(&track)?;
        let job = Job {
            store: &store,
            track: &track,
            record: &record,
            plan,
            reference: &self.reference,
            embeddings: false,
            ablation: false,
            unit: unit_size(cost, false, false),
            interrupted: &Interrupt::default(),
        };
        let mut run = new_run(&job, "cpu", 0, Some(CPU_BATCH_TOKENS))?;
        let started = Instant::now();
        let outcome = job.run(&scorer, vec![model], &mut writer, &mut run, &mut Report::new(), &())?;
        let seconds = started.elapsed().as_secs_f64();
        drop(writer);
        let mut found = vec![Vec::new(); columns.len()];
        for batch in QueryPlan::new(&store, &Request::default())?.rows() {
            let batch = batch?;
            for (column, values) in columns.iter().zip(&mut found) {
                let array = batch.column_by_name(column).context("a column")?;
                let array = array.as_any().downcast_ref::<Float32Array>().context("numbers")?;
                values.extend((0..array.len()).map(|row| array.value(row)));
            }
        }
        Ok(Scored { outcome, seconds, columns: found })
    }

    /// The masked windows of SNVs as the baseline takes them: all forward ones, then all reverse ones;
    /// nothing is shared.
    pub(crate) fn masked(
        &self,
        tokenizer: &Tokenizer,
        variants: &[Variant],
        window: u32,
        grid: bool,
    ) -> anyhow::Result<Task> {
        let cutter = WindowCutter { length: window, end: ContigEnd::Shift };
        let mut reference = self.reference.reopen()?;
        let mut task = Task::default();
        for reverse in [false, true] {
            for variant in variants {
                let pair = cutter.cut(variant, &mut reference, &self.assembly)?;
                let pair = pair.map_err(|status| anyhow::anyhow!("{status}"))?;
                let (bases, centre) = if grid {
                    let position = variant.position.zero_based();
                    let start = u32::try_from(grid_window_start(position, window, 6))?;
                    let region = Region { contig: variant.contig, start, end: start + window };
                    (reference.fetch(region)?.to_ascii_uppercase(), position - start)
                } else {
                    (pair.reference.to_vec(), pair.centre)
                };
                let alternate = pair.alternate[pair.centre as usize];
                let (bases, centre, alternate) = if reverse {
                    let mirrored = bases.len() as u32 - 1 - centre;
                    (reverse_complement(&bases), mirrored, vestore_ingest::complement(alternate))
                } else {
                    (bases, centre, alternate)
                };
                let mut tokens = tokenizer.encode(&bases)?;
                let at = tokens.token_at(centre).context("a token")?;
                let offset = centre - tokens.spans[at].start;
                task.reference.push(tokens.ids[at]);
                task.alternate
                    .push(tokenizer.replaced(tokens.ids[at], offset, alternate).context("another token")?);
                tokens.ids[at] = tokenizer.mask_id().context("a mask")?;
                task.mask.push(at);
                task.ids.push(tokens.ids);
            }
        }
        Ok(task)
    }
}

fn snv(zero_based: u32, reference: u8, alternate: u8) -> Variant {
    let text = |base: u8| char::from(base).to_string().into();
    let position = Position::new(zero_based);
    Variant { contig: 0, position, reference: text(reference), alternate: text(alternate) }
}

/// Fails unless both lists hold the same numbers within `tolerance`, absolute or relative.
pub(crate) fn agree(ours: &[f32], theirs: &[f32], tolerance: f32) -> anyhow::Result<f32> {
    anyhow::ensure!(ours.len() == theirs.len() && !ours.is_empty(), "{} and {}", ours.len(), theirs.len());
    let mut worst = 0f32;
    for (ours, theirs) in ours.iter().zip(theirs) {
        let difference = (ours - theirs).abs();
        anyhow::ensure!(difference <= tolerance * theirs.abs().max(1.0), "scores differ: {ours} {theirs}");
        worst = worst.max(difference);
    }
    Ok(worst)
}

/// How two lists of scores that were rounded on different ways correlate (Pearson); below 0.95 they are not the
/// same scores.
pub(crate) fn correlate(ours: &[f32], theirs: &[f32]) -> anyhow::Result<f64> {
    anyhow::ensure!(ours.len() == theirs.len() && ours.len() > 2, "{} and {}", ours.len(), theirs.len());
    let mean =
        |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
    let (mine, other) = (mean(ours), mean(theirs));
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for (ours, theirs) in ours.iter().zip(theirs) {
        let (ours, theirs) = (f64::from(*ours) - mine, f64::from(*theirs) - other);
        product += ours * theirs;
        left += ours * ours;
        right += theirs * theirs;
    }
    let found = product / (left * right).sqrt();
    anyhow::ensure!(found > 0.95, "scores correlate at {found}");
    Ok(found)
}

/// The processor, as it calls itself.
pub(crate) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let flags = value("flags").unwrap_or_default();
    let has: Vec<&str> = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
        .into_iter()
        .filter(|flag| flags.contains(flag))
        .collect();
    format!("{} ({})", value("model name").unwrap_or_else(|| "unknown".to_owned()), has.join(", "))
}

/// Bytes of memory that this process held at most.
pub(crate) fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

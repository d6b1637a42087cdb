//! `vestore info`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use vestore_schema::{Position, Segment, Status, Table};

use super::ReadArguments;
use super::shared::{ListFormat, print};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    #[command(flatten)]
    reading: ReadArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = arguments.reading.open(&arguments.store)?;
    if arguments.format == ListFormat::Json {
        print(format_args!("{}", serde_json::to_string_pretty(&store.summary()?)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (snapshot, segments, runs) = (store.snapshot()?, store.all_segments()?, store.runs()?);
    let assembly = store.assembly();
    let bases: u64 = assembly.contigs.iter().map(|contig| u64::from(contig.length)).sum();
    let kind = if store.is_published() { ", published (read-only)" } else { "" };
    let version = store.format().version;
    print(format_args!("store       {}, format version {version}{kind}", store.root().display()))?;
    let name = assembly.name.as_deref().unwrap_or("unnamed assembly");
    let contigs = counted(assembly.contigs.len() as u64, "contig");
    print(format_args!("reference   {name}: {contigs}, {bases} bases"))?;
    let place = store.reference();
    let place = if place.as_os_str().is_empty() { "not published".into() } else { place.to_string_lossy() };
    print(format_args!("            {place}"))?;
    for (number, table) in store.gene_tables()?.iter().enumerate() {
        let title = if number == 0 { "genes" } else { "" };
        let genes = counted(table.genes, "gene");
        print(format_args!("{title:<12}{}: {genes}, digest {}", table.name, table.digest.short()))?;
    }
    for (number, table) in store.id_tables()?.iter().enumerate() {
        let title = if number == 0 { "ids" } else { "" };
        let (ids, variants) = (counted(table.ids, "id"), counted(table.variants, "variant"));
        print(format_args!("{title:<12}{}: {ids}, {variants}, digest {}", table.name, table.digest.short()))?;
    }
    print(format_args!("models      {}", snapshot.models.len()))?;
    let unfinished = runs.iter().filter(|run| run.finished.is_none()).count();
    let interrupted = if unfinished > 0 { format!(" ({unfinished} interrupted)") } else { String::new() };
    print(format_args!("runs        {}{interrupted}", runs.len()))?;
    print(format_args!("tracks      {}", snapshot.tracks.len()))?;
    for track in &snapshot.tracks {
        let (of_track, others): (Vec<&Segment>, Vec<&Segment>) = segments
            .iter()
            .filter(|segment| segment.track == track.name)
            .partition(|segment| segment.table == Table::Scores);
        let rows: u64 = of_track.iter().map(|segment| segment.rows).sum();
        let bytes: u64 = of_track.iter().map(|segment| segment.bytes).sum();
        let each = if rows == 0 { 0.0 } else { bytes as f64 / rows as f64 };
        print(format_args!(""))?;
        print(format_args!("track {} (model {})", track.name, track.model))?;
        print(format_args!(
            "  {} in {}, {bytes} bytes, {each:.2} per row",
            counted(rows, "row"),
            counted(of_track.len() as u64, "segment")
        ))?;
        for table in [Table::Embeddings, Table::Ablation, Table::GeneEffects, Table::Effects] {
            let of_table = || others.iter().filter(|segment| segment.table == table);
            if of_table().next().is_some() {
                let rows: u64 = of_table().map(|segment| segment.rows).sum();
                let bytes: u64 = of_table().map(|segment| segment.bytes).sum();
                let name = table.as_str();
                let targets = track.targets.filter(|_| track.list_length(table).is_some()).map(|targets| {
                    format!(
                        ", {} by {}",
                        counted(targets.count.into(), "target"),
                        track.effect_columns.join(", ")
                    )
                });
                print(format_args!(
                    "  {} of {name} in {}, {bytes} bytes{}",
                    counted(rows, "row"),
                    counted(of_table().count() as u64, "segment"),
                    targets.unwrap_or_default()
                ))?;
            }
        }
        let mut statuses: BTreeMap<Status, u64> = BTreeMap::new();
        for (status, count) in of_track.iter().flat_map(|segment| &segment.statuses) {
            *statuses.entry(*status).or_default() += count;
        }
        for (status, count) in statuses {
            print(format_args!("  {count:>12}  {status}"))?;
        }
        let mut ranges: BTreeMap<Option<u32>, (u64, Position, Position)> = BTreeMap::new();
        for segment in &of_track {
            let range =
                ranges.entry(store.contig_index(&segment.contig)).or_insert((0, segment.first, segment.last));
            *range = (range.0 + segment.rows, range.1.min(segment.first), range.2.max(segment.last));
        }
        for (contig, (count, first, last)) in ranges {
            let name = contig.map_or("an unknown contig", |contig| &assembly.contig(contig).name);
            print(format_args!("  {count:>12}  rows on {name}:{}-{}", first.one_based(), last.one_based()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A number of things, as data: without separators.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

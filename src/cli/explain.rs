//! `vestore explain`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::{AnswerRows, EffectRows, Places, QueryPlan, Request, Snapshot, Store, is_effect};
use vestore_schema::{Averaged, Meaning, Model, Region, Scale, Table, Track, Variant};

use super::places::one_variant;
use super::reference_arguments::ReferenceArguments;
use super::shared::misplaced;
use super::shared::{plural, print, say};

/// Bases shown on each side of the variant.
const SHOWN: u32 = 20;
/// Targets shown.
const SHOWN_TARGETS: usize = 10;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    /// Variant such as `17-43044295-G-A`, a genomic HGVS name or an rsID
    variant: String,
    /// Explain the row of this track
    #[arg(long, value_name = "NAME")]
    track: String,
    #[command(flatten)]
    reference: ReferenceArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = arguments.reference.open(&arguments.store)?;
    let mut places = Places::default();
    places.add(&store, &arguments.variant).map_err(misplaced)?;
    let variant = one_variant(&places, &store, &arguments.variant)?;
    let snapshot = store.snapshot()?;
    let track = snapshot.track(&arguments.track)?;
    line("variant", &variant.display(store.assembly()).to_string())?;
    line("track", &format!("{}, id {}", track.name, track.id))?;
    match &track.external {
        Some(external) => {
            line("source", &format!("imported file, sha256 {}", external.source))?;
            for (column, from) in track.columns.iter().zip(&external.columns) {
                line("", &format!("{column} from its column {from}"))?;
            }
        }
        None if !track.mean.is_empty() => {
            for averaged in &track.mean {
                let Averaged { name, id, model, model_id } = averaged;
                line(
                    "mean of",
                    &format!("{name}, id {}, model {model}, id {}", id.short(), model_id.short()),
                )?;
            }
        }
        None => lineage(&store, &snapshot, track)?,
    }
    line("recipe", &track.recipe_text())?;
    if track.external.is_none() {
        window(&store, track, variant)?;
    }
    let code = scores(&store, track, variant)?;
    if !track.gene_columns.is_empty() && track.targets.is_none() {
        gene_effects(&store, track, variant)?;
    }
    if track.effect_columns.iter().any(|kind| is_effect(kind)) {
        effects(&store, track, variant)?;
    }
    Ok(code)
}

fn line(name: &str, value: &str) -> std::io::Result<()> {
    print(format_args!("{name:<10}{value}"))
}

/// The model, then what it was derived from.
fn lineage(store: &Store, snapshot: &Snapshot, track: &Track) -> anyhow::Result<()> {
    let Some(model) = snapshot.models.iter().find(|model| model.name == track.model) else {
        line("model", &format!("{}, id {}", track.model, track.model_id))?;
        return Ok(());
    };
    line("model", &describe(model))?;
    for ancestor in store.ancestors(model, &snapshot.models)? {
        line("  from", &describe(ancestor))?;
    }
    Ok(())
}

fn describe(model: &Model) -> String {
    let mut text =
        format!("{}, id {}, {}, {}", model.name, model.id.short(), model.family, model.kept_text());
    if let Some(kind) = &model.adapter_kind {
        text.extend([", ", kind, " adapter"]);
    }
    for (origin, what) in [(&model.hub, ", from"), (&model.adapter_hub, ", adapter from")] {
        if let Some(origin) = origin {
            text.extend([what, " ", &origin.to_string()]);
        }
    }
    text
}

/// Where the model's window lies, and the bases around the variant.
fn window(store: &Store, track: &Track, variant: &Variant) -> anyhow::Result<()> {
    let (length, window) = (store.assembly().contig(variant.contig).length, track.recipe.window);
    let position = variant.position.zero_based();
    // As the engine cuts it.
    let start = match (&track.recipe.regulatory, length.checked_sub(window)) {
        (Some(regulatory), _) => regulatory.start(variant.position, window),
        // Centred, shifted inward at the ends of the contig.
        (None, Some(latest)) => position.saturating_sub(window / 2).min(latest).into(),
        (None, None) => {
            return Ok(line("window", &format!("none: the contig has {length} bases, the window {window}"))?);
        }
    };
    let [first, end] = [start, start + i64::from(window)].map(|place| place.clamp(0, length.into()));
    let beyond = i64::from(window) - (end - first);
    let region = Region { contig: variant.contig, start: u32::try_from(first)?, end: u32::try_from(end)? };
    line(
        "window",
        &format!(
            "{}, the variant at its base {}{}",
            region.display(store.assembly()),
            i64::from(position) - start + 1,
            if beyond > 0 { format!(", {beyond} N beyond the contig") } else { String::new() }
        ),
    )?;
    let mut reference = store.open_reference()?;
    let end = (position + u32::try_from(variant.reference.len())?).min(length);
    let mut bases = |start: u32, end: u32| -> anyhow::Result<String> {
        let bases = reference.fetch(Region { contig: variant.contig, start, end })?;
        Ok(String::from_utf8_lossy(&bases).into_owned())
    };
    let before = bases(position.saturating_sub(SHOWN), position)?;
    let there = bases(position, end)?;
    let after = bases(end, (end + SHOWN).min(length))?;
    Ok(line("bases", &format!("{before}[{there}>{}]{after}", variant.alternate))?)
}

fn scores(store: &Store, track: &Track, variant: &Variant) -> anyhow::Result<ExitCode> {
    let request = Request {
        variants: [variant.clone()].into(),
        tracks: vec![track.name.clone()],
        ..Request::default()
    };
    let plan = QueryPlan::new(store, &request)?;
    if let Some(remark) = plan.remark() {
        say(format_args!("{remark}"));
    }
    let track = &plan.tracks[0];
    let mut found = false;
    for batch in plan.rows() {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            found = true;
            let rows = AnswerRows::of(&batch);
            line("status", rows.status(row))?;
            for column in &track.columns {
                let score = rows.score(column, row);
                let value = score.map_or_else(|| "-".to_owned(), |score| score.to_string());
                line("", &format!("{column:<16}{value}"))?;
                if let Some(Meaning { direction, sentence }) =
                    track.meaning(column).filter(|_| score.is_some())
                {
                    line("", &format!("{:<16}{}: {sentence}", "", direction.text()))?;
                }
                for (name, scale) in track.scores().filter(|(_, scale)| scale.is_some()) {
                    let Some((calibration, _)) =
                        track.calibrated(&name).filter(|made| made.0.column == *column)
                    else {
                        continue;
                    };
                    let value = rows.scale(&name, row);
                    let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
                    line("", &format!("{name:<16}{value}"))?;
                    if scale == Some(Scale::Percentile) {
                        let rows = plural(calibration.rows, "score");
                        line("", &format!("{:<16}compared with {rows}: {}", "", calibration.text()))?;
                    }
                }
            }
        }
    }
    if !found {
        say(format_args!("the variant has no row in this track"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the variant does in each gene: changes, where, and the values there.
fn gene_effects(store: &Store, track: &Track, variant: &Variant) -> anyhow::Result<()> {
    let request = Request {
        variants: [variant.clone()].into(),
        tracks: vec![track.name.clone()],
        table: Table::GeneEffects,
        ..Request::default()
    };
    let details = ["_position", "_ref", "_alt"];
    let effects = || track.gene_columns.iter().filter(|name| !details.iter().any(|end| name.ends_with(end)));
    for batch in QueryPlan::new(store, &request)?.rows() {
        let batch = batch?;
        let rows = AnswerRows::of(&batch);
        for row in 0..batch.num_rows() {
            line("gene", rows.keys.key(row).4)?;
            for effect in effects() {
                let value = |end: &str| rows.score(&format!("{effect}{end}"), row);
                let change = value("").map_or_else(|| "-".to_owned(), |change| change.to_string());
                let place =
                    value("_position").map(|position| format!(" at {position:+}")).unwrap_or_default();
                let values = value("_ref").zip(value("_alt"));
                let values =
                    values.map(|(before, after)| format!(", {before} to {after}")).unwrap_or_default();
                line("", &format!("{effect:<16}{change}{place}{values}"))?;
            }
        }
    }
    Ok(())
}

/// The targets on which the variant has the largest effect, that one first, with a column per kind.
fn effects(store: &Store, track: &Track, variant: &Variant) -> anyhow::Result<()> {
    let request = Request {
        variants: [variant.clone()].into(),
        tracks: vec![track.name.clone()],
        table: Table::Effects,
        ..Request::default()
    };
    let plan = QueryPlan::new(store, &request)?;
    let mut targets: Vec<(f32, String, Vec<Option<f32>>)> = Vec::new();
    for batch in EffectRows::new(&plan, Some(SHOWN_TARGETS), None)? {
        let batch = batch?;
        let rows = AnswerRows::of(&batch);
        for row in 0..batch.num_rows() {
            let numbers: Vec<_> = track.effect_columns.iter().map(|kind| rows.score(kind, row)).collect();
            let ranked = track.effect_columns.iter().zip(&numbers).filter(|(kind, _)| is_effect(kind));
            let size = ranked.filter_map(|(_, number)| *number).map(f32::abs).fold(-1.0, f32::max);
            targets.push((size, rows.target(row).to_owned(), numbers));
        }
    }
    targets.retain(|(_, target, _)| !target.is_empty());
    let Some(count) = track.targets.map(|targets| targets.count).filter(|_| !targets.is_empty()) else {
        return Ok(());
    };
    targets.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown = targets.len();
    line("targets", &format!("{}, the {shown} with the largest effect:", plural(count.into(), "target")))?;
    let width = targets.iter().map(|(_, target, _)| target.chars().count()).max().unwrap_or_default();
    let columns = |cells: &mut dyn Iterator<Item = String>| -> String {
        cells.map(|cell| format!("  {cell:>14}")).collect::<Vec<_>>().concat()
    };
    line("", &format!("{:<width$}{}", "", columns(&mut track.effect_columns.iter().cloned())))?;
    for (_, target, numbers) in &targets {
        let text = |number: &Option<f32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        line("", &format!("{target:<width$}{}", columns(&mut numbers.iter().map(text))))?;
    }
    Ok(())
}

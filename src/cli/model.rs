//! `vestore model`

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use vestore::Store;
use vestore_schema::{Architecture, EncoderRecord, Model, RegulatoryRecord, TokenizerKind, check_name};

use super::shared::{ListFormat, print, say, writer};
use super::{engine, known};

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// Add a model version from a checkpoint, from the Hugging Face hub, or from a model by dropping layers or adapting
    #[command(disable_help_flag = true)]
    Add(engine::Arguments),
    /// List model versions
    List(Arguments),
    /// Show one model version, or all
    Show(Arguments),
    /// List published models that vestore reads, with size, licence and where their tables come from
    Known(known::Arguments),
    /// Rename a model; tracks, models and studies that name it follow, and tracks keep their names
    Rename(RenameArguments),
    /// Remove a model that no track, model or study names, and its copied files
    Remove(RemoveArguments),
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    /// Name of a model
    name: Option<String>,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

#[derive(clap::Args)]
pub(super) struct RenameArguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the model
    #[arg(value_name = "OLD")]
    old: String,
    /// New name of the model
    #[arg(value_name = "NEW")]
    new: String,
}

#[derive(clap::Args)]
pub(super) struct RemoveArguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the model
    name: String,
}

pub(super) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let (arguments, whole) = match verb {
        Verb::Add(arguments) => return engine::run(&[OsString::from("model"), "add".into()], arguments.rest),
        Verb::Known(arguments) => return known::run(&arguments),
        Verb::List(arguments) => (arguments, false),
        Verb::Show(arguments) => (arguments, true),
        Verb::Rename(RenameArguments { store, old, new }) => {
            check_name(&new)?;
            writer(&Store::open(&store)?)?.rename_model(&old, &new)?;
            say(format_args!("model `{old}` is now `{new}`; its tracks keep their names"));
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Remove(RemoveArguments { store, name }) => {
            writer(&Store::open(&store)?)?.remove_model(&name)?;
            say(format_args!("model `{name}` removed"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let store = Store::open(&arguments.store)?;
    let snapshot = store.snapshot()?;
    let models = match &arguments.name {
        Some(name) => vec![snapshot.model(name)?.clone()],
        None => snapshot.models.clone(),
    };
    if arguments.format == ListFormat::Json {
        print(format_args!("{}", serde_json::to_string_pretty(&models)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let named = !whole && models.iter().any(|model| model.hub.is_some());
    for (index, model) in models.iter().enumerate() {
        if whole {
            let tracks: Vec<&str> = snapshot
                .tracks
                .iter()
                .filter(|track| track.is_of_model(&model.name))
                .map(|track| track.name.as_str())
                .collect();
            if index > 0 {
                print(format_args!(""))?;
            }
            show(model, &store.ancestors(model, &snapshot.models)?, &tracks)?;
        } else {
            if index == 0 {
                print(format_args!(
                    "{:<24}  {:<28}  {:>8}  {:>12}  id{}",
                    "name",
                    "family",
                    "layers",
                    "parameters",
                    if named { "            hub" } else { "" }
                ))?;
            }
            let hub = model.hub.as_ref().map(|origin| format!("  {origin}")).unwrap_or_default();
            let layers = format!("{}/{}", model.kept_layers.len(), model.layers);
            print(format_args!(
                "{:<24}  {:<28}  {layers:>8}  {:>12}  {}{hub}",
                model.name,
                model.family,
                model.parameters,
                model.id.short()
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The models that this one was derived from, oldest first, and what each step did.
fn lineage(model: &Model, ancestors: &[&Model]) -> String {
    let mut steps = vec![model.name.clone()];
    let mut model = model;
    for parent in ancestors {
        let pruned = parent.kept_layers != model.kept_layers;
        let adapted = parent.adapter_digest != model.adapter_digest;
        let step = match (pruned, adapted) {
            (true, true) => "pruned and adapted to",
            (false, true) => "adapted to",
            (_, false) => "pruned to",
        };
        steps.push(format!("{} {step}", parent.name));
        model = parent;
    }
    steps.push("checkpoint,".to_owned());
    steps.reverse();
    steps.join(" ")
}

/// What only a transformer encoder has.
fn show_encoder(model: &Model, encoder: &EncoderRecord) -> anyhow::Result<()> {
    let tokenizer = match encoder.tokenizer {
        TokenizerKind::Kmer(k) => format!("{k}-mers"),
        TokenizerKind::Bpe => "byte pairs".to_owned(),
        TokenizerKind::Base => "single bases".to_owned(),
    };
    line("tokenizer", format!("{tokenizer}, sha256 {}", encoder.tokenizer_digest))?;
    let mut heads = Vec::new();
    if encoder.masked_lm {
        heads.push("masked LM".to_owned());
    }
    let labels = model.config.get("multi_label").is_some_and(|labels| labels == true);
    heads.extend(encoder.labels.map(|count| match (count, labels) {
        (1, false) => "regression, 1 output".to_owned(),
        (1, true) => "classification, 1 label".to_owned(),
        (_, false) => format!("classification, {count} classes"),
        (_, true) => format!("classification, {count} labels"),
    }));
    line("heads", if heads.is_empty() { "none".to_owned() } else { heads.join("; ") })?;
    let limit = encoder.max_window().map_or("none".to_owned(), |bases| format!("{bases} bp"));
    line("window limit", limit)
}

fn line(name: &str, value: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(print(format_args!("{name:<16}{value}"))?)
}

fn show(model: &Model, ancestors: &[&Model], tracks: &[&str]) -> anyhow::Result<()> {
    line("name", &model.name)?;
    line("id", model.id)?;
    line("family", &model.family)?;
    if let Some(note) = &model.note {
        line("note", note)?;
    }
    line("lineage", lineage(model, ancestors))?;
    if let Some(track) = &model.pruned_by {
        line("pruned by", format!("the ablation of track {track}"))?;
    }
    if let Some(training) = &model.training {
        line("training", training)?;
    }
    let dropped: Vec<String> = (0..model.layers)
        .filter(|layer| !model.kept_layers.contains(layer))
        .map(|layer| layer.to_string())
        .collect();
    let dropped =
        if dropped.is_empty() { String::new() } else { format!(", without {}", dropped.join(", ")) };
    line("layers", format!("{} of {}{dropped}", model.kept_layers.len(), model.layers))?;
    line("hidden", model.hidden)?;
    line("parameters", model.parameters)?;
    line("weights", format!("{} bytes, sha256 {}", model.weight_bytes, model.weights_digest))?;
    match &model.architecture {
        Architecture::Encoder(encoder) => show_encoder(model, encoder)?,
        Architecture::OneHot(network) => line("input", format!("{} bp, one-hot", network.input_length))?,
        Architecture::Splice(splice) => {
            line("input", format!("one-hot, {} bp of context", splice.context))?;
            line("networks", format!("{} of {}", splice.kept_networks.len(), splice.networks))?;
        }
        Architecture::Regulatory(regulatory) => show_regulatory(regulatory)?,
    }
    if let (Some(kind), Some(digest)) = (&model.adapter_kind, &model.adapter_digest) {
        line("adapter", format!("{kind}, sha256 {digest}"))?;
    }
    if let Some(base) = &model.adapter_base {
        line("adapter base", format!("{base}, by its adapter_config.json; not this checkpoint"))?;
    }
    if let Some(license) = &model.license {
        line("license", license)?;
    }
    if let Some(origin) = &model.hub {
        line("hub", origin)?;
    }
    if let Some(origin) = &model.adapter_hub {
        let license = origin.license.as_ref().map(|license| format!(", license {license}"));
        line("adapter hub", format!("{origin}{}", license.unwrap_or_default()))?;
    }
    line("checkpoint", if model.checkpoint.is_empty() { "not published" } else { &model.checkpoint })?;
    if model.copied {
        let bytes: u64 = model.files.iter().map(|file| file.bytes).sum();
        line("copied files", format!("{}, {bytes} bytes", model.files.len()))?;
    }
    if let Some(adapter) = &model.adapter {
        line("adapter folder", adapter)?;
    }
    line("tracks", if tracks.is_empty() { "none".to_owned() } else { tracks.join(", ") })?;
    Ok(())
}

fn show_regulatory(regulatory: &RegulatoryRecord) -> anyhow::Result<()> {
    let RegulatoryRecord { head, targets, bin, center_bins, features, .. } = regulatory;
    line("input", "one-hot")?;
    line("head", format!("{}, {targets} targets", head.as_str()))?;
    let read = match center_bins {
        0 => "all of a window".to_owned(),
        bins => format!("{bins} in the middle of a window"),
    };
    line("bins", format!("{bin} bp, {read}"))?;
    if *features > 0 {
        line("embedding", format!("{features} numbers"))?;
    }
    if let (Some(file), Some(digest)) = (&regulatory.targets_file, &regulatory.targets_digest) {
        line("targets", format!("{file}, sha256 {digest}"))?;
    }
    Ok(())
}

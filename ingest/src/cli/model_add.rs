//! `vestore model add`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use vestore::{Snapshot, Store, Writer, check_model};
use vestore_ingest::{
    HubFiles, HubId, HubPart, ModelSource, ablated_tracks, is_regulatory_model, model_files,
    regulatory_config, source_of, summarize,
};
use vestore_schema::{Architecture, Head, Model, RegulatoryRecord, Track, check_name};

use super::family::describe_model;
use super::regulatory::{HeadChoice, table_place, with_table};
use super::shared::one_of;
use super::{Usage, hub, interrupt, say, writer};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("origin").required(true).args(["checkpoint", "hub", "from"])))]
#[command(group(clap::ArgGroup::new("adapted").args(["adapter", "hub_adapter"])))]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the model in this store
    name: String,
    /// Read a checkpoint folder in the Hugging Face layout: config.json, weights, tokenizer
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Fetch a checkpoint of the Hugging Face hub, at a branch, tag or commit; `vestore model known` lists models
    #[arg(long, value_name = "ORG/MODEL[@REVISION]")]
    hub: Option<HubId>,
    /// Derive from this model of the store
    #[arg(long, value_name = "MODEL")]
    from: Option<String>,
    /// Keep these layers, numbered from 0 as in the checkpoint, such as 0,2-5
    #[arg(long, value_name = "LAYERS", conflicts_with = "drop_layers")]
    keep_layers: Option<String>,
    /// Drop these layers, numbered from 0 as in the checkpoint
    #[arg(long, value_name = "LAYERS")]
    drop_layers: Option<String>,
    /// Drop the N least important layers of --from: those with the smallest mean |change| in the ablation of --track
    #[arg(long, value_name = "N", requires = "from", conflicts_with_all = ["keep_layers", "drop_layers"])]
    drop_least: Option<usize>,
    /// Rank layers by the ablation of this track of --from; needed if several tracks have one
    #[arg(long, value_name = "NAME", requires = "drop_least")]
    track: Option<String>,
    /// Keep these networks of an ensemble, numbered from 0 as in the checkpoint, such as 0,2-3 (splice models)
    #[arg(long, value_name = "NETWORKS")]
    keep_networks: Option<String>,
    /// Apply the adapter in this folder, in the PEFT layout
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Fetch and apply an adapter of the Hugging Face hub
    #[arg(long, value_name = "ORG/ADAPTER[@REVISION]")]
    hub_adapter: Option<HubId>,
    /// Number the adapter's layers as in the checkpoint, or as in the pruned model that it was trained on
    #[arg(long, value_enum, default_value_t = AdapterLayers::Original, requires = "adapted")]
    adapter_layers: AdapterLayers,
    /// Read targets of a regulatory model from this file, `targets.txt` of its authors; by default that beside the
    /// checkpoint
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    targets: Option<PathBuf>,
    /// Use this head of a regulatory model; human by default
    #[arg(long, conflicts_with = "from", value_parser = one_of(&Head::ALL, Head::as_str))]
    head: Option<Head>,
    /// Copy the files into the store: configuration, tokenizer, weights, code, card and license
    #[arg(long)]
    copy: bool,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum AdapterLayers {
    Original,
    Pruned,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    check_name(&arguments.name)?;
    let store = Store::open(&arguments.store)?;
    store.check_writable()?;
    let snapshot = store.snapshot()?;
    if arguments.hub.is_some() || arguments.hub_adapter.is_some() {
        interrupt::end_resumable()?;
    }
    let hub = hub::fetch(arguments.hub.as_ref(), HubPart::Checkpoint, arguments.quiet)?;
    let adapter_hub = hub::fetch(arguments.hub_adapter.as_ref(), HubPart::Adapter, arguments.quiet)?;
    let folder = |files: &Option<HubFiles>, given: &Option<PathBuf>| {
        files.as_ref().map(|files| files.folder.clone()).or_else(|| given.clone())
    };
    let checkpoint = folder(&hub, &arguments.checkpoint);
    let new_adapter = folder(&adapter_hub, &arguments.adapter);
    let (mut source, parent) = source(arguments, checkpoint, new_adapter.as_deref(), &store, &snapshot)?;
    let pruned_by = match (arguments.drop_least, &parent) {
        (Some(count), Some(parent)) => {
            let (track, kept) = drop_least(arguments, count, parent, &store, &snapshot)?;
            source.kept_layers = Some(kept);
            Some(track)
        }
        _ => None,
    };
    let text = |path: &Path| -> anyhow::Result<String> {
        let path = std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
        path.to_str()
            .map(str::to_owned)
            .with_context(|| format!("{} is not valid UTF-8; rename it", path.display()))
    };
    let adapter = source.adapter.as_deref().map(text).transpose()?;
    let inherited = parent.as_ref().map(|parent| snapshot.model(parent)).transpose()?;
    let table = inherited.and_then(|parent| table_of(&store, parent));
    let choice = match inherited.map(regulatory) {
        Some(regulatory) => HeadChoice {
            head: regulatory.map(|record| record.head),
            targets: table.as_deref(),
            inherited: true,
        },
        None => HeadChoice { head: arguments.head, targets: arguments.targets.as_deref(), inherited: false },
    };
    let checkpoint = text(&source.checkpoint)?;
    let (record, wrapper) = describe_model(&arguments.name, &source, checkpoint, adapter, choice)?;
    if let Some(prefix) = wrapper {
        say(format_args!(
            "the prefix `{prefix}` of all weights, left by a wrapper around the model, is left out"
        ));
    }
    let origin = |files: Option<HubFiles>| files.map(|files| files.origin);
    let mut model = Model {
        adapter_layers: source.adapter_layers.clone(),
        hub: origin(hub).or_else(|| inherited.and_then(|parent| parent.hub.clone())),
        adapter_hub: origin(adapter_hub).or_else(|| inherited.and_then(|parent| parent.adapter_hub.clone())),
        parent,
        pruned_by,
        ..record
    };
    if let (Some(base), Some(adapter)) = (&model.adapter_base, &source.adapter) {
        say(format_args!(
            "warning: the adapter {} was trained on `{base}`, by its adapter_config.json, and is added to {}; \
             its scores mean something only if they are the same model",
            adapter.display(),
            source.checkpoint.display()
        ));
    }
    let mut writer = writer(&store)?;
    let known = store.snapshot()?.models;
    // Before anything is copied.
    check_model(&model, &known)?;
    if let Some(known) = known.iter().find(|known| known.id == model.id) {
        // The same files from another place are still those of the hub.
        model.hub = model.hub.or_else(|| known.hub.clone());
        model.adapter_hub = model.adapter_hub.or_else(|| known.adapter_hub.clone());
    }
    let lender =
        new_adapter.is_none().then(|| known.iter().find(|other| Some(&other.name) == model.parent.as_ref()));
    if arguments.copy {
        let kept =
            known.iter().find(|known| known.name == model.name && known.copied && !known.files.is_empty());
        match kept.filter(|kept| store.copy_damage(kept).is_none()) {
            Some(kept) => {
                keep_copy(&mut model, kept);
                say(format_args!("{}: the store has a whole copy of its files already", model.name));
            }
            None => copy(&mut writer, &source, &mut model)?,
        }
    } else if let Some(lender) = lender.flatten().filter(|lender| lender.copied) {
        // The same files with other layers: the store stays whole when it is moved.
        keep_copy(&mut model, lender);
    }
    writer.put_model(&model)?;
    let note = model.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
    say(format_args!(
        "{}: {}, {}, {} parameters, id {}{note}",
        model.name,
        model.family,
        model.kept_text(),
        model.parameters,
        model.id.short()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Where the model's files lie and which layers it keeps; the parent's name when it is derived.
fn source(
    arguments: &Arguments,
    checkpoint: Option<PathBuf>,
    adapter: Option<&Path>,
    store: &Store,
    snapshot: &Snapshot,
) -> anyhow::Result<(ModelSource, Option<String>)> {
    let (mut source, parent) = match (checkpoint, &arguments.from) {
        (Some(checkpoint), _) => (ModelSource::new(checkpoint), None),
        (None, Some(name)) => {
            let parent = snapshot.model(name)?;
            (source_of(store, parent), Some(parent))
        }
        (None, None) => bail!(Usage("give --checkpoint, --hub or --from".to_owned())),
    };
    // The layers that a derived model can keep or drop, and that a pruned adapter counts.
    let candidates: Vec<u32> = match parent {
        Some(parent) => parent.kept_layers.clone(),
        None => (0..layers_of(&source)?).collect(),
    };
    let listed = |text: &str| -> anyhow::Result<Vec<u32>> {
        let layers = parse_numbers(text)
            .ok_or_else(|| Usage(format!("invalid list of layers `{text}`; expected one such as 0,2-5")))?;
        for layer in &layers {
            ensure!(candidates.contains(layer), "unknown layer {layer}; expected some of {candidates:?}");
        }
        Ok(layers)
    };
    if let Some(keep) = &arguments.keep_layers {
        source.kept_layers = Some(listed(keep)?);
    } else if let Some(drop) = &arguments.drop_layers {
        let dropped = listed(drop)?;
        source.kept_layers =
            Some(candidates.iter().copied().filter(|layer| !dropped.contains(layer)).collect());
    }
    if let Some(keep) = &arguments.keep_networks {
        let base = match parent {
            Some(parent) => parent.clone(),
            None => describe_model("", &source, String::new(), None, HeadChoice::default())?.0,
        };
        source.kept_networks = Some(networks(keep, &base)?);
    }
    if let Some(adapter) = adapter {
        ensure!(
            source.adapter.is_none(),
            "model `{}` is adapted already and a model takes one adapter; derive from its parent",
            parent.map_or("", |parent| parent.name.as_str())
        );
        source.adapter = Some(adapter.to_owned());
        if arguments.adapter_layers == AdapterLayers::Pruned {
            // Trained on the parent when there is one, else on what this command keeps.
            source.adapter_layers =
                if parent.is_some() { Some(candidates.clone()) } else { source.kept_layers.clone() };
        }
    }
    Ok((source, parent.map(|parent| parent.name.clone())))
}

/// The networks that `text` lists, all of them networks of `base`.
fn networks(text: &str, base: &Model) -> anyhow::Result<Vec<u32>> {
    let Architecture::Splice(splice) = &base.architecture else {
        bail!(Usage("--keep-networks is for splice models, which average several networks".to_owned()));
    };
    let kept = parse_numbers(text)
        .ok_or_else(|| Usage(format!("invalid list of networks `{text}`; expected one such as 0,2-3")))?;
    let known = &splice.kept_networks;
    for network in &kept {
        ensure!(known.contains(network), "unknown network {network}; expected some of {known:?}");
    }
    Ok(kept)
}

/// Layers of a checkpoint.
fn layers_of(source: &ModelSource) -> anyhow::Result<u32> {
    if is_regulatory_model(source)? {
        return Ok(regulatory_config(source)?.layers());
    }
    Ok(describe_model("", source, String::new(), None, HeadChoice::default())?.0.layers)
}

/// The track that is the evidence, and what stays of the model `parent` without its `count` layers that
/// matter least.
fn drop_least(
    arguments: &Arguments,
    count: usize,
    parent: &str,
    store: &Store,
    snapshot: &Snapshot,
) -> anyhow::Result<(String, Vec<u32>)> {
    let ablated = ablated_tracks(store)?;
    let of_parent = |track: &&Track| track.model == parent && ablated.contains(&track.name);
    let candidates: Vec<&Track> = snapshot.tracks.iter().filter(of_parent).collect();
    let names = || candidates.iter().map(|track| track.name.as_str()).collect::<Vec<_>>().join(", ");
    let track = match (&arguments.track, candidates.as_slice()) {
        (_, []) => bail!("model `{parent}` has no ablation; run `vestore ablate` with it first"),
        (Some(name), _) => candidates.iter().find(|track| track.name == *name).with_context(|| {
            format!("track `{name}` is not an ablation of model `{parent}`; tracks with one: {}", names())
        })?,
        (None, [track]) => track,
        (None, _) => bail!(Usage(format!("say by which ablation with --track: {}", names()))),
    };
    let least = summarize(store, track, None)?.least_first();
    ensure!(
        (1..least.len()).contains(&count),
        "model `{parent}` has {} layers; --drop-least takes 1 to {}",
        least.len(),
        least.len() - 1
    );
    let (dropped, kept) = least.split_at(count);
    say(format_args!("dropping {dropped:?}, which matter least by track {}", track.name));
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    Ok((track.name.clone(), kept))
}

/// Reads `0,2-5`: ascending or not, each once. Absurd ranges are refused before they are written out.
fn parse_numbers(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > 100_000 {
            return None;
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

/// Names the copy that the store has of another record of the same files.
fn keep_copy(model: &mut Model, kept: &Model) {
    model.copied = true;
    model.checkpoint.clone_from(&kept.checkpoint);
    model.adapter.clone_from(&kept.adapter);
    model.files.clone_from(&kept.files);
    let table = regulatory(kept).and_then(|kept| kept.targets_file.clone());
    set_table(model, table);
}

fn regulatory(model: &Model) -> Option<&RegulatoryRecord> {
    match &model.architecture {
        Architecture::Regulatory(regulatory) => Some(regulatory),
        _ => None,
    }
}

/// Where the table of targets of a regulatory model lies.
fn table_of(store: &Store, model: &Model) -> Option<PathBuf> {
    Some(store.model_path(model, regulatory(model)?.targets_file.as_ref()?))
}

/// Says where the copy of the table of targets lies, if the model has one.
fn set_table(model: &mut Model, place: Option<String>) {
    if let Architecture::Regulatory(regulatory) = &mut model.architecture
        && regulatory.targets_file.is_some()
    {
        regulatory.targets_file = place;
    }
}

/// Copies the model's files into the store, and checks that the copy is the same model.
fn copy(writer: &mut Writer, source: &ModelSource, model: &mut Model) -> anyhow::Result<()> {
    let table = table_of(writer.store(), model);
    let copied = writer.copy_model(model.id, &with_table(model_files(source)?, table))?;
    let place = |part: &str| format!("{}/{part}", copied.folder);
    model.copied = true;
    model.checkpoint = place("checkpoint");
    model.adapter = model.adapter.as_ref().map(|_| place("adapter"));
    model.files.clone_from(&copied.files);
    set_table(model, Some(table_place(&model.checkpoint)));
    let table = table_of(writer.store(), model);
    let choice = HeadChoice {
        head: regulatory(model).map(|regulatory| regulatory.head),
        targets: table.as_deref(),
        inherited: true,
    };
    let (name, places) = (&model.name, (model.checkpoint.clone(), model.adapter.clone()));
    let (found, _) = describe_model(name, &source_of(writer.store(), model), places.0, places.1, choice)?;
    ensure!(
        found.id == model.id,
        "the copy of model `{}` is another model than its source: the files changed while they were copied; \
         rerun the same command",
        model.name
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_numbers;

    #[test]
    fn lists_are_read_as_people_write_them() {
        assert_eq!(parse_numbers("0,2-5"), Some(vec![0, 2, 3, 4, 5]));
        assert_eq!(parse_numbers("3, 1,3"), Some(vec![1, 3]));
        for text in ["", "a", "5-2", "1-", "-1", "0-4000000000"] {
            assert_eq!(parse_numbers(text), None, "{text}");
        }
    }
}

//! Adapters as PEFT writes them: small changes to a model's matrices, merged into the weights at load
//! in float32; and bottlenecks that live in the layers (see `houlsby`). Checked against the checkpoint before
//! anything is computed: every change has its target, every target its tensors, every tensor its shape.

mod dora;
mod error;
mod family;
mod houlsby;
mod ia3;
mod initial;
mod lora;
mod names;
mod squeeze_excite;
mod start;
mod target;
mod transfer;
mod vera;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::{Kind, TchError, Tensor};

use crate::checkpoint::BaseNames;
use crate::checkpoint::ConfigFile;
use crate::checkpoint::Found;
use crate::checkpoint::tensor_line;
use crate::checkpoint::to_tensor;
use crate::checkpoint::{Checkpoint, CheckpointError, has_file};
use crate::convert::dimension;
use crate::encoder::model::keys;
use crate::error::ModelError;
use crate::module::Modules;

pub use error::AdapterError;
pub(crate) use family::Family;
use ia3::Ia3;
pub use initial::AdapterKind;
pub(crate) use initial::{Trunk, counted, write_initial};
use lora::Lora;
use target::Targets;
pub use transfer::{Ia3Layers, TransferAdapter};
pub(crate) use transfer::{
    TransferBase, counted_block, norm_modules, published as published_in_adapter, write_transfer_adapter,
};
use vera::Vera;

/// Which biases an adapter trained beside its own tensors, as PEFT's `bias` says.
const BIASES: [&str; 4] = ["none", "all", "lora_only", "vera_only"];

/// Switches (`use_…`) of PEFT that are read here, or refused with a reason of their own.
const SWITCHES: [&str; 4] = ["use_dora", "use_rslora", "use_qalora", "use_bdlora"];

/// A switch that is on and unknown changes how an adapter is computed.
fn refuse_unknown_switches(config: &ConfigFile) -> Result<(), CheckpointError> {
    let unknown = config.fields().find(|(key, value)| {
        key.starts_with("use_") && !SWITCHES.contains(&key.as_str()) && !keys::is_off(value)
    });
    match unknown {
        Some((key, _)) => Err(config.unsupported(
            key,
            "it to be off: the key is unknown and may change what the adapter computes; remove it if it does not",
        )),
        None => Ok(()),
    }
}

/// What an adapter is opened against.
pub(crate) struct Base<'a> {
    pub(crate) family: Family<'a>,
    /// The checkpoint's modules, heads included.
    pub(crate) modules: &'a Modules,
    /// The checkpoint's used weights and their shapes.
    pub(crate) parameters: &'a BTreeMap<String, Vec<usize>>,
    /// Where they lie.
    pub(crate) checkpoint: &'a Checkpoint,
}

/// What happens to one module.
enum Change {
    Lora(Lora),
    Ia3(Ia3),
    Vera(Vera),
}

/// An adapter, checked against its model.
pub(crate) struct Adapter {
    kind: &'static str,
    /// The base model that its configuration names.
    stated: Option<String>,
    tensors: Tensors,
    changes: BTreeMap<String, Change>,
    bottlenecks: BTreeSet<String>,
    /// Convolutions whose results are scaled by channel.
    gates: BTreeSet<String>,
    saved: BTreeSet<String>,
}

/// The adapter's tensors, by names without PEFT's and the family's prefixes, layers numbered as in
/// the original checkpoint.
pub(crate) struct Tensors {
    checkpoint: Checkpoint,
    file: PathBuf,
}

/// An adapter's tensors as they are now: those under training, else those of its file.
struct Current<'a> {
    tensors: &'a Tensors,
    trained: Option<&'a BTreeMap<String, Tensor>>,
}

impl Current<'_> {
    fn load(&self, key: &str) -> Result<Tensor, TchError> {
        match self.trained.and_then(|trained| trained.get(key)) {
            Some(tensor) => Ok(tensor.shallow_clone()),
            None => self.tensors.load(key),
        }
    }
}

impl Tensors {
    fn open(directory: &Path, family: &Family<'_>, kept: Option<&[u32]>) -> Result<(Self, bool), ModelError> {
        let mut checkpoint = Checkpoint::open(directory, "adapter_model", "adapter_model")?;
        let file = checkpoint.path().to_owned();
        let owners = names::owners(checkpoint.tensors().map(|(name, _)| name));
        if owners.len() > 1 {
            return Err(AdapterError::Several { file, names: owners.into_iter().collect() }.into());
        }
        let full = format!("model.{}", family.prefix());
        let prefixed = checkpoint.tensors().any(|(name, _)| format!(".{name}").contains(&format!(".{full}")));
        // What a trained copy of a module replaced: PEFT reads it no more.
        checkpoint.retain(|name| !name.split('.').any(|part| part == "original_module"));
        checkpoint.rename_same(|name| names::plain(name, family))?;
        if let Some(kept) = kept {
            let stack = family.stack();
            let beyond = checkpoint
                .tensors()
                .find_map(|(name, _)| stack.layer_of(name).filter(|layer| *layer as usize >= kept.len()));
            if let Some(layer) = beyond {
                return Err(AdapterError::NoLayer { file, layer, kept: kept.len() }.into());
            }
            checkpoint.rename(|name| match stack.layer_of(name) {
                Some(layer) => stack.with_layer(name, kept[layer as usize]),
                None => name.to_owned(),
            })?;
        }
        Ok((Self { checkpoint, file }, prefixed))
    }

    fn has(&self, key: &str) -> bool {
        self.checkpoint.get(key).is_some()
    }

    fn shape(&self, key: &str) -> Result<&[usize], AdapterError> {
        let missing = || AdapterError::MissingTensor { file: self.file.clone(), key: key.to_owned() };
        Ok(&self.checkpoint.get(key).ok_or_else(missing)?.shape)
    }

    /// Checks that `key` is there, in `expected` shape and of a floating type.
    fn check(&self, key: &str, expected: &[usize]) -> Result<(), AdapterError> {
        let (file, key_owned) = (self.file.clone(), key.to_owned());
        let found = self.shape(key)?;
        if found != expected {
            let (expected, found) = (expected.to_vec(), found.to_vec());
            return Err(AdapterError::WrongShape { file, key: key_owned, expected, found });
        }
        if self.checkpoint.get(key).is_some_and(|tensor| !tensor.dtype.is_float()) {
            let reason = "is not an F32, F16 or BF16 tensor; convert it";
            return Err(AdapterError::UnexpectedTensor { file, key: key_owned, reason });
        }
        Ok(())
    }

    fn found(&self, key: &str) -> Option<Found<'_>> {
        let tensor = self.checkpoint.get(key)?;
        Some(Found::new(&self.checkpoint, tensor))
    }

    /// A tensor that was checked, in float32.
    fn load(&self, key: &str) -> Result<Tensor, TchError> {
        let found = self
            .found(key)
            .ok_or_else(|| TchError::Convert(format!("`{key}` was checked; this is a bug")))?;
        to_tensor(&found)?.f_to_kind(Kind::Float)
    }
}

impl Adapter {
    /// Opens the adapter in `directory`. `kept` are the original numbers of the layers that it was
    /// trained on, when it numbers those from 0.
    pub(crate) fn open(directory: &Path, base: &Base<'_>, kept: Option<&[u32]>) -> Result<Self, ModelError> {
        let file = directory.join("adapter_config.json");
        let there = has_file(&file).map_err(|source| CheckpointError::Io { file: file.clone(), source })?;
        if !there {
            return Err(
                AdapterError::NoAdapter { folder: directory.to_owned(), inner: inner(directory) }.into()
            );
        }
        let config = ConfigFile::read(&file)?;
        if config.get("bias").is_some_and(|bias| !BIASES.iter().any(|known| bias == known)) {
            let known = BIASES.map(|known| format!("`{known}`")).join(", ");
            return Err(config.unsupported("bias", known).into());
        }
        let (tensors, prefixed) = Tensors::open(directory, &base.family, kept)?;
        let targets = || Targets::read(&config)?.modules(&config, base, prefixed, kept);
        let mut changes = BTreeMap::new();
        let (mut bottlenecks, mut gates) = (BTreeSet::new(), BTreeSet::new());
        let mut claimed = BTreeSet::new();
        let kind = match config.text("peft_type") {
            Some("LORA") => {
                for (change, keys) in lora::plan(&config, &tensors, &targets()?)? {
                    changes.insert(change.module.clone(), Change::Lora(change));
                    claimed.extend(keys);
                }
                if config.flag("use_dora", false)? { "dora" } else { "lora" }
            }
            Some("IA3") => {
                for change in ia3::plan(&config, &tensors, &targets()?)? {
                    claimed.insert(change.vector());
                    changes.insert(change.module.clone(), Change::Ia3(change));
                }
                "ia3"
            }
            Some("VERA") => {
                for (change, keys) in vera::plan(&config, &tensors, &targets()?)? {
                    changes.insert(change.module.clone(), Change::Vera(change));
                    claimed.extend(keys);
                }
                "vera"
            }
            Some("HOULSBY") => {
                bottlenecks = houlsby::plan(&config, &tensors, &base.family, kept)?;
                claimed.extend(bottlenecks.iter().flat_map(|module| houlsby::keys(module)));
                if config.get(squeeze_excite::RANK).is_some() {
                    gates = squeeze_excite::plan(&config, &tensors, &base.family, &targets()?)?;
                }
                "houlsby"
            }
            Some("SQUEEZE_EXCITE") => {
                gates = squeeze_excite::plan(&config, &tensors, &base.family, &targets()?)?;
                "squeeze-excite"
            }
            _ => {
                let found = config.get("peft_type").map_or("missing".to_owned(), ToString::to_string);
                return Err(AdapterError::UnknownKind { file: config.path().to_owned(), found }.into());
            }
        };
        claimed.extend(gates.iter().flat_map(|module| squeeze_excite::keys(module)));
        refuse_unknown_switches(&config)?;
        let stated = config.text("base_model_name_or_path").map(str::to_owned);
        let mut adapter = Self { kind, stated, tensors, changes, bottlenecks, gates, saved: BTreeSet::new() };
        adapter.saved = adapter.find_saved(&config, base, kept, &claimed)?;
        adapter.check_saved(&config, base, kept)?;
        Ok(adapter)
    }

    /// The base model that the configuration names, if `names` are another's.
    pub(crate) fn other_base(&self, names: &BaseNames) -> Option<String> {
        self.stated.clone().filter(|stated| names.differ_from(stated))
    }

    /// Checks that every weight of a module in `modules_to_save` is there.
    fn check_saved(
        &self,
        config: &ConfigFile,
        base: &Base<'_>,
        kept: Option<&[u32]>,
    ) -> Result<(), ModelError> {
        let alone = config.text("task_type") == Some("SEQ_CLS");
        let expected = base.family.savable(base.parameters.keys(), kept, alone);
        for module in saved_modules(config, base, kept)? {
            let missing = expected.iter().find(|name| under(name, &module) && !self.tensors.has(name));
            let Some(key) = missing.cloned() else { continue };
            return Err(AdapterError::NotSaved { file: self.tensors.file.clone(), key, module }.into());
        }
        Ok(())
    }

    /// The whole weights that the file carries (`modules_to_save`, biases): all that is left over.
    fn find_saved(
        &self,
        config: &ConfigFile,
        base: &Base<'_>,
        kept: Option<&[u32]>,
        claimed: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, ModelError> {
        let unexpected = |key: &str, reason| AdapterError::UnexpectedTensor {
            file: self.tensors.file.clone(),
            key: key.to_owned(),
            reason,
        };
        let mut modules = saved_modules(config, base, kept)?;
        if config.text("task_type") == Some("SEQ_CLS") {
            modules.extend(["classifier".to_owned(), "score".to_owned()]);
        }
        let biases = config.text("bias").is_some_and(|bias| bias != "none");
        let heads = base.family.heads();
        let tied = base.family.tied();
        let tied = |key: &str| tied.iter().flatten().any(|tied| tied == key);
        let tables = base.family.tables();
        let mut saved = BTreeSet::new();
        for (key, tensor) in self.tensors.checkpoint.tensors() {
            let module = names::module_of(key);
            if claimed.contains(key) || base.family.ignores(key) || base.family.ignores_module(module) {
                continue;
            }
            let listed = modules.iter().any(|module| under(key, module));
            let bias = key.rsplit('.').next() == Some("bias");
            if !(listed || biases && bias) {
                // PEFT saves embeddings, and the decoder, beside any adapter when it holds them for changed.
                if self.is_copy(key, base)? {
                    continue;
                }
                if tables.iter().any(|table| table == key) {
                    self.check_table(key, base)?;
                    saved.insert(key.to_owned());
                    continue;
                }
                return Err(unexpected(
                    key,
                    "neither its target_modules nor its modules_to_save ask for; \
                     check that adapter_config.json belongs to it",
                )
                .into());
            }
            if tied(key) {
                return Err(unexpected(key, "would untie embeddings and decoder; train without it").into());
            }
            match base.parameters.get(key) {
                // A head may be new, or have other labels; it is checked as a whole later.
                _ if heads.iter().any(|head| key.starts_with(head)) => {}
                Some(shape) => self.tensors.check(key, shape)?,
                None => {
                    return Err(
                        unexpected(key, "the model has no such weight; it belongs to another one").into()
                    );
                }
            }
            self.tensors.check(key, &tensor.shape)?;
            saved.insert(key.to_owned());
        }
        Ok(saved)
    }

    /// Whether the file holds the checkpoint's own weight `key`, perhaps with rows added at its end.
    fn is_copy(&self, key: &str, base: &Base<'_>) -> Result<bool, ModelError> {
        let own = match base.family.tied() {
            Some([table, decoder]) if key == decoder => table,
            _ => key.to_owned(),
        };
        let (Some(found), Some(own)) = (self.tensors.found(key), base.checkpoint.get(&own)) else {
            return Ok(false);
        };
        let own = Found::new(base.checkpoint, own);
        let (Some((rows, inner)), Some((own_rows, own_inner))) =
            (found.shape.split_first(), own.shape.split_first())
        else {
            return Ok(false);
        };
        let floats = [found.dtype, own.dtype].into_iter().all(|dtype| dtype.is_float());
        if rows < own_rows || inner != own_inner || !floats {
            return Ok(false);
        }
        let (copy, own) = (to_tensor(&found)?, to_tensor(&own)?);
        let copy = copy.f_narrow(0, 0, dimension(*own_rows))?;
        Ok(copy.f_equal(&own.f_to_kind(copy.f_kind()?)?)?)
    }

    /// Checks a whole table of embeddings that stands in for the checkpoint's.
    fn check_table(&self, key: &str, base: &Base<'_>) -> Result<(), AdapterError> {
        let own = base.checkpoint.get(key).map_or_else(Vec::new, |own| own.shape.clone());
        let found = self.tensors.shape(key)?;
        if found.first() > own.first() && found.get(1..) == own.get(1..) {
            return Err(AdapterError::UnexpectedTensor {
                file: self.tensors.file.clone(),
                key: key.to_owned(),
                reason: "was trained with more tokens than the checkpoint has rows for; \
                         merge the adapter with the program that made it",
            });
        }
        self.tensors.check(key, &own)
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The file of its tensors.
    pub(crate) fn file(&self) -> &Path {
        &self.tensors.file
    }

    /// The whole weight that replaces the checkpoint's `name`, if there is one.
    pub(crate) fn saved(&self, name: &str) -> Option<Found<'_>> {
        self.saved.contains(name).then(|| self.tensors.found(name)).flatten()
    }

    /// Whether `module` is changed.
    pub(crate) fn changes(&self, module: &str) -> bool {
        self.changes.contains_key(module)
    }

    /// The changed weight and bias of `module`, from float32 or float64 ones; by the tensors `trained`, where they are there.
    pub(crate) fn merge(
        &self,
        module: &str,
        weight: Tensor,
        bias: Option<Tensor>,
        trained: Option<&BTreeMap<String, Tensor>>,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let tensors = Current { tensors: &self.tensors, trained };
        match self.changes.get(module) {
            None => Ok((weight, bias)),
            Some(Change::Lora(change)) => change.merge(&tensors, &weight, bias),
            Some(Change::Ia3(change)) => change.merge(&tensors, &weight, bias),
            Some(Change::Vera(change)) => change.merge(&tensors, &weight, bias),
        }
    }

    /// The bottleneck `module`, if there is one: weight and bias down, weight and bias up, in float32; those of
    /// `trained`, where they are there.
    pub(crate) fn bottleneck(
        &self,
        module: &str,
        trained: Option<&BTreeMap<String, Tensor>>,
    ) -> Result<Option<[Tensor; 4]>, TchError> {
        if !self.bottlenecks.contains(module) {
            return Ok(None);
        }
        let tensors = Current { tensors: &self.tensors, trained };
        let [a, b, c, d] = houlsby::keys(module).map(|key| tensors.load(&key));
        Ok(Some([a?, b?, c?, d?]))
    }

    /// What scales the result of the convolution `module` by channel, if anything does: matrices down and up, in
    /// float32; those of `trained`, where they are there.
    pub(crate) fn gate(
        &self,
        module: &str,
        trained: Option<&BTreeMap<String, Tensor>>,
    ) -> Result<Option<[Tensor; 2]>, TchError> {
        if !self.gates.contains(module) {
            return Ok(None);
        }
        let tensors = Current { tensors: &self.tensors, trained };
        let [down, up] = squeeze_excite::keys(module).map(|key| tensors.load(&key));
        Ok(Some([down?, up?]))
    }

    /// All its tensors that are no whole weights, in float32, by the names that its changes know them by.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Tensor>, TchError> {
        let changed = self.changes.values().flat_map(|change| match change {
            Change::Lora(lora) => lora.keys().collect(),
            Change::Ia3(ia3) => vec![ia3.vector()],
            Change::Vera(vera) => vera.keys().to_vec(),
        });
        let bottlenecks = self.bottlenecks.iter().flat_map(|module| houlsby::keys(module));
        let gates = self.gates.iter().flat_map(|module| squeeze_excite::keys(module));
        changed
            .chain(bottlenecks)
            .chain(gates)
            .map(|key| Ok((key.clone(), self.tensors.load(&key)?)))
            .collect()
    }

    /// Names of the whole weights that it carries.
    pub(crate) fn saved_names(&self) -> impl Iterator<Item = &String> {
        self.saved.iter()
    }

    /// Everything about it that decides numbers.
    pub(crate) fn identity(&self) -> Result<Value, CheckpointError> {
        let line = |key: &str| self.tensors.found(key).map(|found| tensor_line(key, &found)).transpose();
        let mut changes: Vec<Value> = Vec::new();
        for (module, change) in &self.changes {
            changes.push(match change {
                Change::Lora(lora) => {
                    let lines: Vec<_> = lora.keys().map(|key| line(&key)).collect::<Result<_, _>>()?;
                    json!([module, "lora", lora.scaling, lines])
                }
                Change::Ia3(ia3) => json!([module, "ia3", ia3.feed_forward, line(&ia3.vector())?]),
                Change::Vera(vera) => {
                    let lines: Vec<_> = vera.keys().iter().map(|key| line(key)).collect::<Result<_, _>>()?;
                    json!([module, "vera", lines])
                }
            });
        }
        for module in &self.bottlenecks {
            let lines: Vec<_> =
                houlsby::keys(module).iter().map(|key| line(key)).collect::<Result<_, _>>()?;
            changes.push(json!([module, "houlsby", lines]));
        }
        for module in &self.gates {
            let lines: Vec<_> =
                squeeze_excite::keys(module).iter().map(|key| line(key)).collect::<Result<_, _>>()?;
            changes.push(json!([module, "squeeze-excite", lines]));
        }
        let saved: Vec<_> = self.saved.iter().map(|key| line(key)).collect::<Result<_, _>>()?;
        Ok(json!({ "kind": self.kind, "changes": changes, "saved": saved }))
    }
}

/// The modules that `modules_to_save` lists, without the family's prefix, layers numbered as in the original checkpoint.
fn saved_modules(
    config: &ConfigFile,
    base: &Base<'_>,
    kept: Option<&[u32]>,
) -> Result<Vec<String>, ModelError> {
    let stack = base.family.stack();
    let original = |name: &String| {
        let name = base.family.bare(name);
        let layer = stack.layer_of(&name).and_then(|layer| kept?.get(layer as usize).copied());
        layer.map_or(name.clone(), |layer| stack.with_layer(&name, layer))
    };
    Ok(target::names(config, "modules_to_save")?.iter().map(original).collect())
}

/// Whether the weight `key` belongs to a module whose name is, or ends in, `module`.
fn under(key: &str, module: &str) -> bool {
    let dotted = format!(".{key}");
    dotted.contains(&format!(".{module}."))
}

/// The folders in `directory` that hold an adapter.
fn inner(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let adapters = entries.filter(|entry| entry.path().join("adapter_config.json").is_file());
    let mut names: Vec<String> =
        adapters.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names.truncate(10);
    names
}

//! Adapters as PEFT writes them: small changes to a model's matrices, merged into the weights at load
//! in float32; and bottlenecks that live in the layers (see `houlsby`). Checked against the checkpoint before
//! anything is computed: every change has its target, every target its tensors, every tensor its shape.

mod dora;
mod houlsby;
mod ia3;
mod initial;
mod lora;
mod target;
mod vera;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::{Kind, TchError, Tensor};
use thiserror::Error;

use crate::model::checkpoint::{Checkpoint, CheckpointError, Dtype};
use crate::model::config::{ConfigFile, EncoderConfig};
use crate::model::dialect::{Dialect, Part};
use crate::model::error::ModelError;
use crate::model::identity::tensor_line;
use crate::model::source::Found;
use crate::model::{Modules, to_tensor};

use ia3::Ia3;
pub use initial::AdapterKind;
pub(crate) use initial::{Trunk, counted, write_initial};
use lora::Lora;
use target::Targets;
use vera::Vera;

/// Why an adapter is refused.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// Its files cannot be read.
    #[error(transparent)]
    Files(Box<CheckpointError>),
    /// A kind of adapter that cannot be merged here.
    #[error("`{}` is an adapter of kind {found}; supported: LORA (with DoRA), IA3, VERA, HOULSBY", file.display())]
    UnknownKind {
        /// `adapter_config.json`.
        file: PathBuf,
        /// `peft_type`, as written.
        found: String,
    },
    /// No module of the model is targeted.
    #[error(
        "`{}` targets {targets}, which names no module of the model; its modules end in {}",
        file.display(), modules.join(", ")
    )]
    NoTarget {
        /// `adapter_config.json`.
        file: PathBuf,
        /// `target_modules`, as written.
        targets: String,
        /// Last parts of the names of the model's linear modules.
        modules: Vec<String>,
    },
    /// A targeted module has no tensors.
    #[error("`{}` lacks `{key}`, which its configuration asks for; the file is incomplete", file.display())]
    MissingTensor {
        /// The adapter's weights.
        file: PathBuf,
        /// The missing tensor, as this program names it.
        key: String,
    },
    /// A tensor that nothing asks for.
    #[error("`{}` holds `{key}`, which {reason}", file.display())]
    UnexpectedTensor {
        /// The adapter's weights.
        file: PathBuf,
        /// The tensor, as this program names it.
        key: String,
        /// Why it has no place, and what to do.
        reason: &'static str,
    },
    /// A tensor of another shape than its target asks for.
    #[error(
        "`{}`: `{key}` has shape {found:?}, its target asks for {expected:?}; it was trained on another model",
        file.display()
    )]
    WrongShape {
        /// The adapter's weights.
        file: PathBuf,
        /// The tensor.
        key: String,
        /// Shape that the target asks for.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A layer number that the pruned model has not.
    #[error(
        "`{}` changes layer {layer}, the pruned model has {kept} layers; \
         use --adapter-layers original if it was trained on the whole model", file.display()
    )]
    NoLayer {
        /// The adapter's weights.
        file: PathBuf,
        /// The number.
        layer: u32,
        /// Kept layers.
        kept: usize,
    },
}

/// What an adapter is opened against.
pub(crate) struct Base<'a> {
    pub(crate) dialect: &'static Dialect,
    pub(crate) config: &'a EncoderConfig,
    /// The checkpoint's modules, heads included.
    pub(crate) modules: &'a Modules,
    /// The checkpoint's used weights and their shapes.
    pub(crate) parameters: &'a BTreeMap<String, Vec<usize>>,
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
    tensors: Tensors,
    changes: BTreeMap<String, Change>,
    bottlenecks: BTreeSet<String>,
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
    fn open(directory: &Path, dialect: &Dialect, kept: Option<&[u32]>) -> Result<(Self, bool), ModelError> {
        let mut checkpoint = Checkpoint::open(directory, "adapter_model", "adapter_model")?;
        let file = checkpoint.path().to_owned();
        let full = format!("base_model.model.{}", dialect.prefix);
        let prefixed = checkpoint.tensors().any(|(name, _)| name.starts_with(&full));
        let plain = |name: &str| {
            let name = name.strip_prefix("base_model.").unwrap_or(name);
            let name = dialect.bare(name.strip_prefix("model.").unwrap_or(name));
            name.replace(".base_layer.", ".")
        };
        checkpoint.rename(plain)?;
        if let Some(kept) = kept {
            let beyond = checkpoint
                .tensors()
                .find_map(|(name, _)| target::layer_of(name).filter(|layer| *layer as usize >= kept.len()));
            if let Some(layer) = beyond {
                return Err(AdapterError::NoLayer { file, layer, kept: kept.len() }.into());
            }
            checkpoint.rename(|name| match target::layer_of(name) {
                Some(layer) => target::with_layer(name, kept[layer as usize]),
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
        if self.checkpoint.get(key).is_some_and(|tensor| matches!(tensor.dtype, Dtype::I64 | Dtype::Other)) {
            let reason = "is no F32, F16 or BF16 tensor; convert it";
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
        let config = ConfigFile::read(&directory.join("adapter_config.json"))?;
        let (tensors, prefixed) = Tensors::open(directory, base.dialect, kept)?;
        let targets = || Targets::read(&config)?.modules(&config, base, prefixed, kept);
        let mut changes = BTreeMap::new();
        let mut bottlenecks = BTreeSet::new();
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
                bottlenecks = houlsby::plan(&config, &tensors, base.config, kept)?;
                claimed.extend(bottlenecks.iter().flat_map(|module| houlsby::keys(module)));
                "houlsby"
            }
            _ => {
                let found = config.get("peft_type").map_or("missing".to_owned(), ToString::to_string);
                return Err(AdapterError::UnknownKind { file: config.path().to_owned(), found }.into());
            }
        };
        let mut adapter = Self { kind, tensors, changes, bottlenecks, saved: BTreeSet::new() };
        adapter.saved = adapter.find_saved(&config, base, &claimed)?;
        Ok(adapter)
    }

    /// The whole weights that the file carries (`modules_to_save`, biases): all that is left over.
    fn find_saved(
        &self,
        config: &ConfigFile,
        base: &Base<'_>,
        claimed: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, ModelError> {
        let unexpected = |key: &str, reason| AdapterError::UnexpectedTensor {
            file: self.tensors.file.clone(),
            key: key.to_owned(),
            reason,
        };
        let mut modules = target::names(config, "modules_to_save")?;
        if config.text("task_type") == Some("SEQ_CLS") {
            modules.extend(["classifier".to_owned(), "score".to_owned()]);
        }
        let biases = config.text("bias").is_some_and(|bias| bias != "none");
        let [dense, output] =
            [Part::ClassDense, Part::ClassOutput].map(|part| format!("{}.", base.dialect.name_of(part, 0)));
        let embedding = format!("{}.weight", base.dialect.name_of(Part::WordEmbedding, 0));
        let mut saved = BTreeSet::new();
        for (key, tensor) in self.tensors.checkpoint.tensors() {
            if claimed.contains(key) || base.dialect.ignores(key) {
                continue;
            }
            let listed = modules.iter().any(|module| under(key, module));
            let bias = key.rsplit('.').next() == Some("bias");
            if !(listed || biases && bias) {
                return Err(unexpected(
                    key,
                    "no target and no modules_to_save asks for; the two files are of two adapters",
                )
                .into());
            }
            if base.config.tied_decoder && key == embedding {
                return Err(unexpected(key, "would untie embeddings and decoder; train without it").into());
            }
            match base.parameters.get(key) {
                // A head may be new, or have other labels; it is checked as a whole later.
                _ if key.starts_with(&dense) || key.starts_with(&output) => {}
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

    /// The changed weight and bias of `module`, from float32 ones; by the tensors `trained`, where they are there.
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

    /// All its tensors that are no whole weights, in float32, by the names that its changes know them by.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Tensor>, TchError> {
        let changed = self.changes.values().flat_map(|change| match change {
            Change::Lora(lora) => lora.keys().collect(),
            Change::Ia3(ia3) => vec![ia3.vector()],
            Change::Vera(vera) => vera.keys().to_vec(),
        });
        let bottlenecks = self.bottlenecks.iter().flat_map(|module| houlsby::keys(module));
        changed.chain(bottlenecks).map(|key| Ok((key.clone(), self.tensors.load(&key)?))).collect()
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
        let saved: Vec<_> = self.saved.iter().map(|key| line(key)).collect::<Result<_, _>>()?;
        Ok(json!({ "kind": self.kind, "changes": changes, "saved": saved }))
    }
}

/// Whether the weight `key` belongs to a module whose name is, or ends in, `module`.
fn under(key: &str, module: &str) -> bool {
    let dotted = format!(".{key}");
    dotted.contains(&format!(".{module}."))
}

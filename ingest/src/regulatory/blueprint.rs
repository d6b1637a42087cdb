//! The weights of a regulatory model: their names as published, and their shapes. Checkpoints are checked against them
//! before anything is computed, and adapters find their targets in them.

use std::collections::BTreeMap;

use vestore_schema::Head;

use super::config::{RegulatoryConfig, RegulatoryFamily};
use crate::checkpoint::Checkpoint;
use crate::convert::as_index;
use crate::error::ModelError;
use crate::module::{Module, Modules};

/// Convolutions of Borzoi's tower; pools stand between them in the published list of modules.
pub(super) const BORZOI_TOWER: u32 = 5;

/// What a checkpoint of these options holds.
pub(crate) struct Blueprint {
    /// Matrices and convolutions.
    pub(crate) modules: Modules,
    /// All weights with their shapes, batch norm's statistics among them.
    pub(crate) parameters: BTreeMap<String, Vec<usize>>,
}

/// Where a convolution and the batch norm before it lie.
#[derive(Clone, Debug)]
pub(crate) struct ConvolutionNames {
    pub(crate) norm: Option<String>,
    pub(crate) convolution: String,
}

impl ConvolutionNames {
    /// As Borzoi's `ConvBlock` names them.
    pub(super) fn borzoi(block: &str) -> Self {
        Self { norm: Some(format!("{block}.norm")), convolution: format!("{block}.conv_layer") }
    }

    /// As Enformer's `ConvBlock` names them.
    pub(super) fn enformer(block: &str) -> Self {
        Self { norm: Some(format!("{block}.0")), convolution: format!("{block}.2") }
    }

    fn bare(convolution: &str) -> Self {
        Self { norm: None, convolution: convolution.to_owned() }
    }
}

/// Where the parts of one stage of the tower lie.
#[derive(Clone, Debug)]
pub(crate) struct StageNames {
    pub(crate) first: ConvolutionNames,
    /// Enformer: the convolution of width 1 whose result is added.
    pub(super) residual: Option<ConvolutionNames>,
    /// Enformer: the matrix that weighs the two positions of a pool.
    pub(super) pool: Option<String>,
}

/// The stem, then the stages of the tower.
pub(crate) fn stage_names(config: &RegulatoryConfig) -> Vec<StageNames> {
    if config.is_unet() {
        let stage = |first| StageNames { first, residual: None, pool: None };
        let tower = (0..BORZOI_TOWER).map(|number| format!("res_tower.{}", 2 * number));
        let blocks = tower.chain(["unet1.1".to_owned()]);
        let stem = ConvolutionNames::bare("conv_dna.conv_layer");
        return std::iter::once(stem)
            .chain(blocks.map(|block| ConvolutionNames::borzoi(&block)))
            .map(stage)
            .collect();
    }
    let stage = |place: &str, first| StageNames {
        first,
        residual: Some(ConvolutionNames::enformer(&format!("{place}.1.fn"))),
        pool: Some(format!("{place}.2.to_attn_logits")),
    };
    let mut stages = vec![stage("stem", ConvolutionNames::bare("stem.0"))];
    for number in 0..config.halvings - 1 {
        let place = format!("conv_tower.{number}");
        stages.push(stage(&place, ConvolutionNames::enformer(&format!("{place}.0"))));
    }
    stages
}

/// The last convolution before the heads.
pub(crate) fn final_names(config: &RegulatoryConfig) -> ConvolutionNames {
    if config.is_unet() {
        ConvolutionNames::borzoi("final_joined_convs.0")
    } else {
        ConvolutionNames::enformer("final_pointwise.1")
    }
}

/// The module of a head.
pub(crate) fn head_name(config: &RegulatoryConfig, head: Head) -> String {
    let head = head.as_str();
    if config.is_unet() { format!("{head}_head") } else { format!("_heads.{head}.0") }
}

/// The shapes of the weights that there are.
type ShapeOf<'a> = &'a dyn Fn(&str) -> Option<Vec<usize>>;

/// Collects modules and other weights.
struct Builder<'a> {
    shape_of: ShapeOf<'a>,
    blueprint: Blueprint,
}

impl Builder<'_> {
    /// A size of a weight that decides the others; 1 where it is missing, which is then reported.
    fn size(&self, name: &str, dimension: usize) -> usize {
        (self.shape_of)(name).and_then(|shape| shape.get(dimension).copied()).unwrap_or(1)
    }

    fn module(&mut self, name: &str, module: Module) {
        self.blueprint.parameters.extend(module.parameters(name));
        self.blueprint.modules.insert(name.to_owned(), module);
    }

    fn parameter(&mut self, name: String, shape: &[usize]) {
        self.blueprint.parameters.insert(name, shape.to_vec());
    }

    fn norm(&mut self, name: &str, length: usize) {
        self.blueprint.parameters.extend(Module::Norm { length }.parameters(name));
    }

    /// A convolution over `inputs` channels with the batch norm before it; its number of outputs, which the weight says
    /// where it is not known.
    fn convolution(
        &mut self,
        names: &ConvolutionNames,
        inputs: usize,
        outputs: Option<usize>,
        kernel: usize,
    ) -> usize {
        let outputs = outputs.unwrap_or_else(|| self.size(&format!("{}.weight", names.convolution), 0));
        if let Some(norm) = &names.norm {
            self.norm(norm, inputs);
            for part in ["running_mean", "running_var"] {
                self.parameter(format!("{norm}.{part}"), &[inputs]);
            }
        }
        self.module(&names.convolution, Module::Convolution { outputs, inputs, kernel, bias: true });
        outputs
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize, bias: bool) {
        self.module(name, Module::Linear { outputs, inputs, bias });
    }

    fn block(&mut self, config: &RegulatoryConfig, block: u32) {
        let [hidden, heads, key, value] =
            [config.hidden, config.heads, config.key, config.value].map(|size| as_index(size.into()));
        let attention = format!("transformer.{block}.0.fn");
        self.norm(&format!("{attention}.0"), hidden);
        if config.family == RegulatoryFamily::Flashzoi {
            // Queries of all heads, keys and values of half of them.
            self.linear(&format!("{attention}.1.mha.Wqkv"), heads * 2 * key, hidden, true);
            self.linear(&format!("{attention}.1.mha.out_proj"), hidden, heads * value, true);
        } else {
            self.linear(&format!("{attention}.1.to_q"), heads * key, hidden, false);
            self.linear(&format!("{attention}.1.to_k"), heads * key, hidden, false);
            self.linear(&format!("{attention}.1.to_v"), heads * value, hidden, false);
            let relative = format!("{attention}.1.to_rel_k");
            let features = match config.family {
                RegulatoryFamily::Enformer => value,
                // All blocks read the same features.
                _ => self.size("transformer.0.0.fn.1.to_rel_k.weight", 1),
            };
            self.linear(&relative, heads * key, features, false);
            self.linear(&format!("{attention}.1.to_out"), hidden, heads * value, true);
            for bias in ["rel_content_bias", "rel_pos_bias"] {
                self.parameter(format!("{attention}.1.{bias}"), &[1, heads, 1, key]);
            }
        }
        let feed_forward = format!("transformer.{block}.1.fn");
        let inner = self.size(&format!("{feed_forward}.1.weight"), 0);
        self.norm(&format!("{feed_forward}.0"), hidden);
        self.linear(&format!("{feed_forward}.1"), inner, hidden, true);
        self.linear(&format!("{feed_forward}.4"), hidden, inner, true);
    }

    fn unet(&mut self, config: &RegulatoryConfig, fine: usize) {
        let hidden = as_index(config.hidden.into());
        for (number, inputs) in [(1, hidden), (0, fine)] {
            let horizontal = ConvolutionNames::borzoi(&format!("horizontal_conv{number}"));
            let upsampling = ConvolutionNames::borzoi(&format!("upsampling_unet{number}.0"));
            self.convolution(&horizontal, inputs, Some(hidden), 1);
            self.convolution(&upsampling, hidden, Some(hidden), 1);
            let separable = format!("separable{number}.conv_layer");
            let depthwise = Module::Convolution { outputs: hidden, inputs: 1, kernel: 3, bias: false };
            self.module(&format!("{separable}.0"), depthwise);
            let pointwise = Module::Convolution { outputs: hidden, inputs: hidden, kernel: 1, bias: true };
            self.module(&format!("{separable}.1"), pointwise);
        }
    }
}

impl Blueprint {
    /// The weights that a checkpoint of these options needs; sizes that the options leave open are those of the weights
    /// that there are.
    pub(crate) fn new(config: &RegulatoryConfig, shape_of: ShapeOf<'_>) -> Self {
        let blueprint = Self { modules: Modules::new(), parameters: BTreeMap::new() };
        let mut builder = Builder { shape_of, blueprint };
        let hidden = as_index(config.hidden.into());
        let mut channels = vec![4];
        let stages = stage_names(config);
        for names in &stages {
            let inputs = channels.last().copied().unwrap_or(4);
            let last = channels.len() == stages.len();
            // Of these alone the width is the checkpoint's; the others read one position.
            let kernel = builder.size(&format!("{}.weight", names.first.convolution), 2);
            let outputs = builder.convolution(&names.first, inputs, last.then_some(hidden), kernel);
            if let Some(residual) = &names.residual {
                builder.convolution(residual, outputs, Some(outputs), 1);
            }
            if let Some(pool) = &names.pool {
                builder.parameter(format!("{pool}.weight"), &[outputs, outputs, 1, 1]);
            }
            channels.push(outputs);
        }
        for block in 0..config.depth {
            builder.block(config, block);
        }
        if config.is_unet() {
            // What `unet1` reads.
            builder.unet(config, channels[channels.len() - 2]);
        }
        let outputs = builder.convolution(&final_names(config), hidden, None, 1);
        for head in Head::ALL {
            let name = head_name(config, head);
            let targets = builder.size(&format!("{name}.weight"), 0);
            if shape_of(&format!("{name}.weight")).is_none() {
                continue;
            }
            if config.is_unet() {
                let shape = Module::Convolution { outputs: targets, inputs: outputs, kernel: 1, bias: true };
                builder.module(&name, shape);
            } else {
                builder.linear(&name, targets, outputs, true);
            }
        }
        builder.blueprint
    }

    /// Checks that a checkpoint holds these weights, and nothing else that a number could depend on.
    pub(crate) fn check(&self, checkpoint: &Checkpoint, config: &RegulatoryConfig) -> Result<(), ModelError> {
        let missing: Vec<&String> =
            self.parameters.keys().filter(|name| checkpoint.get(name).is_none()).collect();
        if let Some(first) = missing.first() {
            crate::checkpoint::check_prefix(checkpoint, first)?;
            let file = checkpoint.path().to_owned();
            return Err(ModelError::MissingWeight { file, key: (*first).clone(), count: missing.len() });
        }
        for (name, expected) in &self.parameters {
            let Some(found) = checkpoint.get(name) else { continue };
            let (file, key) = (checkpoint.path_of(found).to_owned(), name.clone());
            if found.shape != *expected {
                let (expected, found) = (expected.clone(), found.shape.clone());
                return Err(ModelError::WrongShape { file, key, expected, found });
            }
            if !found.dtype.is_float() {
                return Err(ModelError::WrongType { file, key, found: found.dtype.name() });
            }
        }
        self.check_sizes(checkpoint, config)?;
        let unexpected: Vec<&str> = checkpoint
            .tensors()
            .map(|(name, _)| name)
            .filter(|name| !self.parameters.contains_key(*name) && !is_ignored(name))
            .collect();
        match unexpected.first() {
            None => Ok(()),
            Some(first) => Err(ModelError::UnexpectedWeight {
                file: checkpoint.path().to_owned(),
                key: (*first).to_owned(),
                count: unexpected.len(),
            }),
        }
    }

    /// Checks sizes that only weights say: kernels are odd, there are targets, features come in pairs.
    fn check_sizes(&self, checkpoint: &Checkpoint, config: &RegulatoryConfig) -> Result<(), ModelError> {
        let wrong = |module: &str, expected: Vec<usize>| {
            let key = format!("{module}.weight");
            let found = self.parameters.get(&key).cloned().unwrap_or_default();
            ModelError::WrongShape { file: checkpoint.path().to_owned(), key, expected, found }
        };
        for (name, module) in &self.modules {
            match *module {
                Module::Convolution { outputs, inputs, kernel, .. }
                    if kernel % 2 == 0 || kernel > 1 << 10 || outputs == 0 =>
                {
                    return Err(wrong(name, vec![outputs.max(1), inputs, kernel.min(1 << 10) | 1]));
                }
                Module::Linear { outputs: 0, inputs, .. } => return Err(wrong(name, vec![1, inputs])),
                Module::Linear { outputs, inputs, .. }
                    if config.is_unet()
                        && name.ends_with(".to_rel_k")
                        && (inputs % 2 != 0 || inputs == 0) =>
                {
                    return Err(wrong(name, vec![outputs, inputs + 2 - inputs % 2]));
                }
                _ => {}
            }
        }
        if Head::ALL.iter().all(|head| !self.modules.contains_key(&head_name(config, *head))) {
            let [human, _] = Head::ALL.map(|head| format!("{}.weight", head_name(config, head)));
            let file = checkpoint.path().to_owned();
            return Err(ModelError::MissingWeight { file, key: human, count: Head::ALL.len() });
        }
        Ok(())
    }
}

/// Whether an adapter can scale what a convolution gives: before a pool, or before the heads.
pub(crate) fn takes_gate(config: &RegulatoryConfig, module: &str) -> bool {
    let stages = stage_names(config).into_iter().map(|stage| stage.first);
    config.is_unet() && stages.chain([final_names(config)]).any(|names| names.convolution == module)
}

/// Buffers that change no number, and heads of other species.
pub(crate) fn is_ignored(name: &str) -> bool {
    ["num_batches_tracked", "inv_freq"].iter().any(|end| name.rsplit('.').next() == Some(end))
        || name.starts_with("_heads.")
}

/// Parameters of a network that keeps only these blocks; batch norm's statistics are none.
pub(crate) fn parameter_count(parameters: &BTreeMap<String, Vec<usize>>, kept: &[u32]) -> u64 {
    let counts = parameters.iter().filter(|(name, _)| !name.contains(".running_") && is_kept(name, kept));
    counts.map(|(_, shape)| shape.iter().map(|size| *size as u64).product::<u64>()).sum()
}

/// Whether a weight is of a kept block, or of none.
pub(crate) fn is_kept(name: &str, kept: &[u32]) -> bool {
    let block = name.strip_prefix("transformer.").and_then(|rest| rest.split('.').next()?.parse().ok());
    block.is_none_or(|block: u32| kept.contains(&block))
}

/// The published name of an Enformer weight that stands under the sequence of the trunk's parts.
pub(crate) fn plain_name(name: &str) -> String {
    const PARTS: [(&str, &str); 4] = [
        ("_trunk.1.", "stem."),
        ("_trunk.2.", "conv_tower."),
        ("_trunk.4.", "transformer."),
        ("_trunk.6.", "final_pointwise."),
    ];
    let part = PARTS.iter().find_map(|(prefix, plain)| Some((plain, name.strip_prefix(prefix)?)));
    part.map_or_else(|| name.to_owned(), |(plain, rest)| format!("{plain}{rest}"))
}

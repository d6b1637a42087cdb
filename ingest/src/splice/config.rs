//! The `config.json` of a splice model: a residual network of dilated convolutions, or several of them.

use serde_json::json;

use crate::checkpoint::{CheckpointError, ConfigFile};

/// Most bases of context that a model may read; more would be a typing error that takes all memory.
const MOST_CONTEXT: u32 = 1 << 20;

/// The shape of the networks of a splice model (Jaganathan et al. 2019, the 10k architecture, and smaller ones).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpliceConfig {
    /// Networks whose probabilities are averaged.
    pub(crate) models: u32,
    /// Channels of the residual stream.
    pub(crate) channels: u32,
    /// Kernel size and dilation of the convolutions of each block.
    pub(crate) blocks: Vec<(u32, u32)>,
    /// Blocks between two skip connections.
    pub(crate) skip_every: u32,
    /// Bases that an output depends on, on either side.
    pub(crate) reach: u32,
    /// Parts in 10⁹: the constant that batch norm adds to variances.
    pub(crate) eps_parts: u64,
}

impl SpliceConfig {
    /// Whether a configuration describes a splice model.
    pub(crate) fn describes(config: &ConfigFile) -> bool {
        config.text("model_type") == Some("spliceai")
    }

    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// When a key is missing, or describes another network.
    pub(crate) fn read(config: &ConfigFile) -> Result<Self, CheckpointError> {
        config.only("outputs", &json!(["neither", "acceptor", "donor"]))?;
        config.only("ensemble", &json!("mean of probabilities"))?;
        config.only("outside_gene", &json!("N"))?;
        let kernels =
            numbers(config, "kernel_sizes", |size| size % 2 == 1 && size < 10_000, "odd whole numbers")?;
        let dilations =
            numbers(config, "dilations", |size| (1..10_000).contains(&size), "whole numbers from 1")?;
        if kernels.len() != dilations.len() {
            let expected = format!("as many numbers as kernel_sizes has ({})", kernels.len());
            return Err(config.unsupported("dilations", expected));
        }
        let blocks: Vec<(u32, u32)> = kernels.into_iter().zip(dilations).collect();
        // Two convolutions a block, each half of dilation × (kernel − 1) on either side.
        let reach: u64 =
            blocks.iter().map(|(kernel, dilation)| u64::from(*dilation) * u64::from(kernel - 1)).sum();
        let context = config.count("context", MOST_CONTEXT)?;
        if u64::from(context) != 2 * reach {
            return Err(config.unsupported("context", format!("{}, as the convolutions reach", 2 * reach)));
        }
        let skip_every = config.count("skip_every", u32::MAX)?;
        if !blocks.len().is_multiple_of(usize::try_from(skip_every).unwrap_or(usize::MAX)) {
            let expected = format!("a divisor of the number of blocks ({})", blocks.len());
            return Err(config.unsupported("skip_every", expected));
        }
        let eps = config.get("batch_norm_eps").and_then(serde_json::Value::as_f64);
        let eps = eps.filter(|eps| (1e-9..=1.0).contains(eps));
        let eps = eps.ok_or_else(|| config.unsupported("batch_norm_eps", "a number from 1e-9 to 1"))?;
        Ok(Self {
            models: config.count("models", 100)?,
            channels: config.count("channels", 4096)?,
            blocks,
            skip_every,
            reach: context / 2,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10⁹")]
            eps_parts: (eps * 1e9).round() as u64,
        })
    }

    /// The constant that batch norm adds to variances.
    pub(crate) fn eps(&self) -> f64 {
        self.eps_parts as f64 / 1e9
    }

    /// The fields that decide numbers, as the catalog records them.
    pub(crate) fn identity(&self) -> serde_json::Value {
        let (kernels, dilations): (Vec<u32>, Vec<u32>) = self.blocks.iter().copied().unzip();
        json!({
            "models": self.models, "channels": self.channels, "kernel_sizes": kernels, "dilations": dilations,
            "skip_every": self.skip_every, "batch_norm_eps": self.eps(),
        })
    }

    /// Parameters of these networks with only these blocks.
    pub(crate) fn parameters(&self, networks: &[u32], blocks: &[u32]) -> u64 {
        let dropped = |name: &str| {
            // `models.<network>.…`, `models.<network>.blocks.<block>.…`
            let number = |after: &str, kept: &[u32]| {
                let mut parts = name.split('.').skip_while(|part| *part != after).skip(1);
                parts.next().and_then(|part| part.parse().ok()).is_some_and(|part: u32| !kept.contains(&part))
            };
            number("models", networks) || number("blocks", blocks)
        };
        let count = |shape: &[usize]| shape.iter().map(|size| *size as u64).product::<u64>();
        let weights = self.weights();
        weights.iter().filter(|(name, _)| !dropped(name)).map(|(_, shape)| count(shape)).sum()
    }

    /// Names and shapes of all weights.
    pub(crate) fn weights(&self) -> Vec<(String, Vec<usize>)> {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let channels = size(self.channels);
        let mut weights = Vec::new();
        let mut convolution = |name: String, outputs: usize, inputs: usize, kernel: usize| {
            weights.push((format!("{name}.weight"), vec![outputs, inputs, kernel]));
            weights.push((format!("{name}.bias"), vec![outputs]));
        };
        let mut norms = Vec::new();
        for model in 0..self.models {
            let name = |part: &str| format!("models.{model}.{part}");
            convolution(name("stem"), channels, 4, 1);
            for (block, (kernel, _)) in self.blocks.iter().enumerate() {
                for number in [1, 2] {
                    convolution(
                        name(&format!("blocks.{block}.conv{number}")),
                        channels,
                        channels,
                        size(*kernel),
                    );
                    for part in ["weight", "bias", "running_mean", "running_var"] {
                        norms.push((name(&format!("blocks.{block}.norm{number}.{part}")), vec![channels]));
                    }
                }
            }
            for skip in 0..=self.blocks.len() / size(self.skip_every) {
                convolution(name(&format!("skips.{skip}")), channels, channels, 1);
            }
            convolution(name("head"), 3, channels, 1);
        }
        weights.extend(norms);
        weights
    }
}

fn numbers(
    config: &ConfigFile,
    key: &'static str,
    valid: impl Fn(u32) -> bool,
    expected: &str,
) -> Result<Vec<u32>, CheckpointError> {
    let list = config.get(key).and_then(serde_json::Value::as_array);
    let number = |value: &serde_json::Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
    let list: Option<Vec<u32>> = list.and_then(|list| list.iter().map(number).collect());
    list.filter(|list| (1..=100).contains(&list.len()) && list.iter().all(|value| valid(*value)))
        .ok_or_else(|| config.unsupported(key, format!("a list of 1 to 100 {expected}")))
}

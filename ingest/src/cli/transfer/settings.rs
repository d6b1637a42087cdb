//! How a regulatory model is transferred, on the command line: the method and all that decides the weights.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use vestore_ingest::{AdamWOptions, Ia3Layers, TransferAdapter, TransferMethod, TransferPlan};
use vestore_schema::{Bins, Dtype, Head, Strands};

use crate::cli::pretrain::TRAINING_DTYPES;
use crate::cli::shared::one_of;

/// How the model is trained.
#[derive(clap::Args)]
pub(in crate::cli) struct Settings {
    /// The head that is replaced
    #[arg(long, default_value = "human", value_parser = one_of(&Head::ALL, Head::as_str))]
    head: Head,
    /// `LoRA` rank
    #[arg(long, value_name = "N", default_value_t = 8)]
    rank: u32,
    /// `LoRA` alpha: the update is scaled by alpha / rank
    #[arg(long, value_name = "X", default_value_t = 16.0)]
    alpha: f64,
    /// `LoRA` rank of convolutions (locon)
    #[arg(long, value_name = "N", default_value_t = 4)]
    convolution_rank: u32,
    /// `LoRA` alpha of convolutions (locon)
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    convolution_alpha: f64,
    /// The feed-forward layer whose input IA3 scales: the second, as its paper says, or the first, as Baskerville's code
    /// selects
    #[arg(long, default_value = "paper", value_parser = one_of(&Ia3Layers::ALL, Ia3Layers::as_str))]
    ia3_layers: Ia3Layers,
    /// Bottleneck width of a Houlsby adapter
    #[arg(long, value_name = "N", default_value_t = 8)]
    bottleneck_size: u32,
    /// Bottleneck width of squeeze-and-excite (houlsby-se)
    #[arg(long, value_name = "N", default_value_t = 16)]
    squeeze_size: u32,
    /// Train on both strands in turn, or on the forward strand alone
    #[arg(long, default_value = "both", value_parser = one_of(&Strands::ALL, Strands::as_str))]
    strands: Strands,
    /// Shift each window by up to N bases, drawn anew in each epoch
    #[arg(long, value_name = "BP", default_value_t = 3)]
    shift: u32,
    /// Dropout of each block, after attention and both feed-forward layers
    #[arg(long, value_name = "FRACTION", default_value_t = 0.2)]
    dropout: f64,
    /// Weight of the Poisson loss of a window's total beside the multinomial loss of its bins
    #[arg(long, value_name = "X", default_value_t = 0.2)]
    total_weight: f64,
    /// Number of epochs
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: u32,
    /// Optimizer steps, instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Windows per step; they are computed one after the other (gradient accumulation)
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: u32,
    /// Peak learning rate; 1e-5 when all weights are trained, else 6e-5
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Fraction of the steps for learning-rate warmup
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    warmup: f64,
    /// Weight decay (`AdamW`)
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    weight_decay: f64,
    /// Maximum gradient norm
    #[arg(long, value_name = "X", default_value_t = 0.15)]
    max_gradient_norm: f64,
    /// Evaluate the validation loss every N steps; an epoch by default
    #[arg(long, value_name = "STEPS")]
    evaluate_every: Option<u64>,
    /// Early-stopping patience, in evaluations without a lower validation loss; 0 to continue to the end
    #[arg(long, value_name = "N", default_value_t = 5)]
    patience: u32,
    /// Arithmetic of the trunk; weights, head and optimizer are float32 always
    #[arg(long, default_value = "f32", value_parser = one_of(&TRAINING_DTYPES, Dtype::as_str))]
    dtype: Dtype,
    /// Recompute each transformer block's activations for its gradient instead of keeping them: less memory of long
    /// windows, more time
    #[arg(long)]
    activation_checkpointing: bool,
}

/// A method by name; its sizes are options of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Method {
    Full,
    Linear,
    Lora,
    Locon,
    Ia3,
    Houlsby,
    HoulsbySe,
}

impl Method {
    pub(in crate::cli) const ALL: [Self; 7] =
        [Self::Full, Self::Linear, Self::Lora, Self::Locon, Self::Ia3, Self::Houlsby, Self::HoulsbySe];

    /// Its name, and the weights that it trains.
    fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => ("full", "All weights"),
            Self::Linear => ("linear", "The head alone"),
            Self::Lora => ("lora", "LoRA on queries and values"),
            Self::Locon => ("locon", "LoRA on queries, values and the last four convolutions"),
            Self::Ia3 => ("ia3", "Scales of keys, values and a feed-forward layer's input"),
            Self::Houlsby => ("houlsby", "Bottlenecks within the blocks, and the layer norms"),
            Self::HoulsbySe => {
                ("houlsby-se", "The same, and squeeze-and-excite after the last four convolutions")
            }
        }
    }
}

/// Parses the name of a method.
pub(in crate::cli) fn methods() -> impl TypedValueParser<Value = Method> {
    let shown = |method: Method| {
        let (name, description) = method.described();
        PossibleValue::new(name).help(description)
    };
    PossibleValuesParser::new(Method::ALL.map(shown)).try_map(|name| {
        let mut all = Method::ALL.into_iter();
        all.find(|method| method.described().0 == name).ok_or("a possible value has a meaning; this is a bug")
    })
}

impl Settings {
    pub(in crate::cli) fn method(&self, method: Method) -> TransferMethod {
        let (rank, alpha, bottleneck) = (self.rank, self.alpha, self.bottleneck_size);
        let (convolution_rank, convolution_alpha) = (self.convolution_rank, self.convolution_alpha);
        TransferMethod::Adapter(match method {
            Method::Full => return TransferMethod::Full,
            Method::Linear => return TransferMethod::Linear,
            Method::Lora => TransferAdapter::Lora { rank, alpha },
            Method::Locon => TransferAdapter::Locon { rank, alpha, convolution_rank, convolution_alpha },
            Method::Ia3 => TransferAdapter::Ia3 { layers: self.ia3_layers },
            Method::Houlsby => TransferAdapter::Houlsby { bottleneck },
            Method::HoulsbySe => TransferAdapter::HoulsbySe { bottleneck, squeeze: self.squeeze_size },
        })
    }

    /// The plan that they make.
    pub(in crate::cli) fn plan(&self, method: Method, bins: Bins, seed: u64) -> TransferPlan {
        let method = self.method(method);
        TransferPlan {
            method,
            head: self.head,
            bins,
            strands: self.strands,
            shift: self.shift,
            dropout: self.dropout,
            total_weight: self.total_weight,
            seed,
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            learning_rate: self.learning_rate.unwrap_or(method.learning_rate()),
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
            optimizer: AdamWOptions::of_tuning(self.weight_decay, self.max_gradient_norm),
            bf16: self.dtype == Dtype::Bf16,
            recompute: self.activation_checkpointing,
        }
    }
}

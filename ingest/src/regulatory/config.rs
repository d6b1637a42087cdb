//! The `config.json` of a regulatory model. What it does not say, widths of convolutions and sizes of heads, the shapes
//! of the weights say.

use serde_json::{Value, json};
use vestore_schema::Bins;

use crate::checkpoint::{CheckpointError, ConfigFile};

/// The published networks, which are one trunk with options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegulatoryFamily {
    /// Linder et al. 2025, doi:10.1038/s41588-024-02053-6.
    Borzoi,
    /// Borzoi with rotary positions and grouped heads (Hingerl et al. 2024).
    Flashzoi,
    /// Avsec et al. 2021, doi:10.1038/s41592-021-01252-x.
    Enformer,
}

/// Over what a gamma feature of a relative position is divided by its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GammaMaximum {
    /// Over all positions, as in TensorFlow, where the published weights were trained.
    Positions,
    /// Over the features of one position, as the PyTorch port does.
    Features,
}

/// The options of a regulatory model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegulatoryConfig {
    pub(crate) family: RegulatoryFamily,
    /// Width of a token.
    pub(crate) hidden: u32,
    /// Transformer blocks of the checkpoint.
    pub(crate) depth: u32,
    /// Attention heads.
    pub(crate) heads: u32,
    /// Numbers of a query or key, by head.
    pub(crate) key: u32,
    /// Numbers of a value, by head.
    pub(crate) value: u32,
    /// Flashzoi: numbers of a query or key that are rotated; 0 elsewhere.
    pub(crate) rotated: u32,
    pub(crate) gamma: GammaMaximum,
    /// Bins in the centre of a window; `None` means all of them.
    pub(crate) center_bins: Option<u32>,
    /// How often the length is halved before the transformer.
    pub(crate) halvings: u32,
}

/// Most heads and numbers of a head: more would be typing errors that take all memory.
const MOST: u32 = 1 << 16;

impl RegulatoryConfig {
    /// The family that a configuration describes, if it is one of these.
    pub(crate) fn family_of(config: &ConfigFile) -> Option<RegulatoryFamily> {
        let named = |name: &str| {
            let architecture = config.get("architectures").and_then(|names| names.get(0));
            config.text("model_type") == Some(name)
                || config.get("model_type").is_none()
                    && architecture
                        .and_then(Value::as_str)
                        .is_some_and(|text| text.eq_ignore_ascii_case(name))
        };
        match (named("borzoi"), named("enformer")) {
            (true, _) if config.get("flashed") == Some(&Value::Bool(true)) => {
                Some(RegulatoryFamily::Flashzoi)
            }
            (true, _) => Some(RegulatoryFamily::Borzoi),
            (false, true) => Some(RegulatoryFamily::Enformer),
            (false, false) => None,
        }
    }

    /// Reads and checks a configuration of `family`.
    ///
    /// # Errors
    /// When a value is missing that has no default, or describes another network.
    pub(crate) fn read(config: &ConfigFile, family: RegulatoryFamily) -> Result<Self, CheckpointError> {
        let count = |key: &'static str, default: u32| match config.get(key) {
            None => Ok(default),
            Some(_) => config.count(key, MOST),
        };
        // -1 means all bins.
        let bins = |key: &'static str, default: u32| match config.get(key) {
            None => Ok(Some(default)),
            Some(value) if value == -1 => Ok(None),
            // Of an even number of bins none would be left: as many are cropped from both sides.
            Some(value) if value == 1 => Err(config.unsupported(key, "at least 2, or -1 for all bins")),
            Some(_) => config.count(key, 1 << 24).map(Some),
        };
        let (hidden, heads) = (count("dim", 1536)?, count("heads", 8)?);
        let depth = match config.get("depth") {
            None if family == RegulatoryFamily::Enformer => 11,
            None => 8,
            Some(_) => config.count("depth", 1024)?,
        };
        let each = |expected: &str| {
            let share = hidden / heads;
            hidden.is_multiple_of(heads).then_some(share).ok_or_else(|| config.unsupported("heads", expected))
        };
        let mut read = Self {
            family,
            hidden,
            depth,
            heads,
            key: count("attn_dim_key", 64)?,
            value: 0,
            rotated: 0,
            gamma: GammaMaximum::Positions,
            center_bins: None,
            halvings: 7,
        };
        match family {
            RegulatoryFamily::Borzoi => {
                read.value = count("attn_dim_value", 192)?;
                read.center_bins = bins("bins_to_return", 6144)?;
            }
            RegulatoryFamily::Flashzoi => {
                // The configured lengths are of the other attention; heads share `dim`.
                let head = each("a divisor of dim")?;
                if !heads.is_multiple_of(2) {
                    return Err(config.unsupported("heads", "an even number, since two heads share keys"));
                }
                (read.key, read.value) = (head, head);
                read.rotated = count("rotary_emb_dim", 128)?;
                if read.rotated > head || !read.rotated.is_multiple_of(2) {
                    return Err(config.unsupported(
                        "rotary_emb_dim",
                        format!("an even number up to {head}, the length of a head; 128 where it is missing"),
                    ));
                }
                read.center_bins = bins("bins_to_return", 6144)?;
            }
            RegulatoryFamily::Enformer => {
                read.value = each("a divisor of dim")?;
                if !read.value.is_multiple_of(6) {
                    return Err(config.unsupported("heads", "dim / heads to be a multiple of 6"));
                }
                if !config.flag("use_tf_gamma", true)? {
                    read.gamma = GammaMaximum::Features;
                }
                read.center_bins = bins("target_length", 896)?;
                read.halvings = count("num_downsamples", 7)?;
                if !(2..=20).contains(&read.halvings) {
                    return Err(config.unsupported("num_downsamples", "a whole number from 2 to 20"));
                }
            }
        }
        Ok(read)
    }

    /// Which of the published networks it is.
    #[must_use]
    pub fn family(&self) -> RegulatoryFamily {
        self.family
    }

    /// Transformer blocks of the checkpoint.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.depth
    }

    /// The name of the family in the catalog.
    pub(crate) fn name(&self) -> &'static str {
        match self.family {
            RegulatoryFamily::Borzoi => "borzoi",
            RegulatoryFamily::Flashzoi => "flashzoi",
            RegulatoryFamily::Enformer => "enformer",
        }
    }

    /// Whether the trunk returns to a finer resolution after its transformer.
    pub(crate) fn is_unet(&self) -> bool {
        self.family != RegulatoryFamily::Enformer
    }

    /// Bases of a token.
    fn token(&self) -> u32 {
        1 << self.halvings
    }

    /// Bases of an output bin.
    #[must_use]
    pub fn bin(&self) -> u32 {
        if self.is_unet() { self.token() / 4 } else { self.token() }
    }

    /// Bins of a window before it is cropped.
    #[must_use]
    pub fn bins(&self, window: u32) -> u32 {
        window / self.bin()
    }

    /// The first bin of a window that is predicted, and how many are.
    #[must_use]
    pub fn crop(&self, window: u32, chosen: Bins) -> (u32, u32) {
        let bins = self.bins(window);
        let target = match chosen {
            Bins::Center => self.center_bins.unwrap_or(bins),
            Bins::All => bins.saturating_sub(2 * self.margin()),
        };
        // As the published code does: as many from both sides, also where one bin less is left then.
        let margin = bins.saturating_sub(target).div_ceil(2);
        (margin, bins.saturating_sub(2 * margin))
    }

    /// Bins on either side that are left out where all are asked for, as Borzoi's authors do.
    fn margin(&self) -> u32 {
        if self.is_unet() { 16 } else { 0 }
    }

    /// Whether windows of so many bases can be run.
    ///
    /// # Errors
    /// What was expected, with the nearest length that can be.
    pub fn check_window(&self, bases: u32) -> Result<(), String> {
        let token = self.token();
        // A skip connection needs whole tokens; less than a bin may be left over.
        let rest = if self.is_unet() { self.bin() } else { 1 };
        let least_bins = self.center_bins.unwrap_or(1).max(2 * self.margin() + 1);
        let least = least_bins.saturating_mul(self.bin()).div_ceil(token).saturating_mul(token);
        if bases < least {
            return Err(format!(
                "expected at least {least}, since {least_bins} bins are predicted; use {least}"
            ));
        }
        if bases % token < rest {
            return Ok(());
        }
        let below = bases / token * token;
        let nearest = if bases - below <= token / 2 { below } else { below.saturating_add(token) };
        Err(format!("expected a multiple of {token}; use {}", nearest.max(least)))
    }

    /// The fields that decide numbers, as the catalog records them.
    pub(crate) fn identity(&self) -> Value {
        let mut fields = json!({
            "dim": self.hidden, "depth": self.depth, "heads": self.heads, "key": self.key, "value": self.value,
            "center_bins": self.center_bins,
        });
        match self.family {
            RegulatoryFamily::Borzoi => {}
            RegulatoryFamily::Flashzoi => fields["rotated"] = json!(self.rotated),
            RegulatoryFamily::Enformer => {
                fields["halvings"] = json!(self.halvings);
                fields["tensorflow_gamma"] = json!(self.gamma == GammaMaximum::Positions);
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(fields: &Value) -> Result<RegulatoryConfig, CheckpointError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, fields.to_string()).expect("written");
        let file = ConfigFile::read(&file).expect("JSON");
        RegulatoryConfig::read(&file, RegulatoryConfig::family_of(&file).expect("a family"))
    }

    #[test]
    fn what_published_configurations_leave_out_has_its_default() {
        let borzoi = config(&json!({ "model_type": "borzoi" })).expect("a configuration");
        assert_eq!((borzoi.name(), borzoi.hidden, borzoi.depth, borzoi.heads), ("borzoi", 1536, 8, 8));
        assert_eq!((borzoi.key, borzoi.value, borzoi.bin(), borzoi.center_bins), (64, 192, 32, Some(6144)));
        assert_eq!(borzoi.crop(524_288, Bins::Center), (5120, 6144));
        assert_eq!(borzoi.crop(524_288, Bins::All), (16, 16_352));
        let flashzoi = config(&json!({ "model_type": "borzoi", "flashed": true, "attn_dim_key": 64 }));
        let flashzoi = flashzoi.expect("a configuration");
        assert_eq!((flashzoi.key, flashzoi.value, flashzoi.rotated), (192, 192, 128));
        let enformer = config(&json!({ "architectures": ["Enformer"] })).expect("a configuration");
        assert_eq!((enformer.value, enformer.bin(), enformer.gamma), (192, 128, GammaMaximum::Positions));
        assert_eq!(enformer.crop(196_608, Bins::Center), (320, 896));
        let port = config(&json!({ "model_type": "enformer", "use_tf_gamma": false }));
        assert_eq!(port.expect("a configuration").gamma, GammaMaximum::Features);
        for (key, value) in [("heads", 5), ("num_downsamples", 1), ("target_length", 0), ("target_length", 1)]
        {
            let refused = config(&json!({ "model_type": "enformer", key: value })).expect_err("a refusal");
            assert!(refused.to_string().contains(&format!("`{key}` is {value}; expected")), "{refused}");
        }
    }

    #[test]
    fn odd_crops_lose_a_bin() {
        let fields = json!({ "model_type": "borzoi", "bins_to_return": 161 });
        let borzoi = config(&fields).expect("a configuration");
        assert_eq!(borzoi.crop(8192, Bins::Center), (48, 160));
        let all = config(&json!({ "model_type": "borzoi", "bins_to_return": -1 })).expect("a configuration");
        assert_eq!(all.crop(8192, Bins::Center), (0, 256));
    }

    #[test]
    fn windows_of_other_lengths_name_the_nearest() {
        let borzoi = config(&json!({ "model_type": "borzoi", "bins_to_return": 160 })).expect("one");
        for bases in [5120, 8192, 8193, 8223, 6016] {
            assert_eq!(borzoi.check_window(bases), Ok(()), "{bases}");
        }
        let refused = |bases: u32| borzoi.check_window(bases).expect_err("a refusal");
        assert_eq!(refused(8224), "expected a multiple of 128; use 8192");
        assert_eq!(refused(8319), "expected a multiple of 128; use 8320");
        assert_eq!(refused(5119), "expected at least 5120, since 160 bins are predicted; use 5120");
        let enformer = json!({ "model_type": "enformer", "target_length": 40 });
        let enformer = config(&enformer).expect("one");
        assert_eq!(enformer.check_window(5248), Ok(()));
        assert_eq!(enformer.check_window(5249), Err("expected a multiple of 128; use 5248".to_owned()));
    }
}

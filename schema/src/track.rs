//! Tracks: a model and a recipe, scored once, stored once, queried by name.

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use crate::digest::Digest;
use crate::mean::Averaged;
use crate::segment::Table;
use crate::targets::Targets;

/// Revision of the engine's arithmetic. It grows when the same model and recipe would give other
/// numbers, and with it every track id, so that old and new scores never share a table.
pub const NUMERICS_REVISION: u32 = 1;

/// Which strands are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strands {
    /// The mean of both strands' finished scores.
    #[default]
    Both,
    /// The forward strand alone.
    Forward,
}

/// Arithmetic of the forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// float32, exact products.
    #[default]
    F32,
    /// float32 with products in TensorFloat-32.
    Tf32,
    /// bfloat16.
    Bf16,
}

impl Strands {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Both, Self::Forward];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Forward => "forward",
        }
    }

    /// How many strands are read.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Both => 2,
            Self::Forward => 1,
        }
    }
}

impl Dtype {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

/// What of a layer an ablation removes: the whole `block`, or a part that the model's family names, such as
/// `attention`. Without it, the residual stream passes it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AblatedPart(String);

impl Default for AblatedPart {
    fn default() -> Self {
        Self("block".to_owned())
    }
}

impl AblatedPart {
    /// The part that a family calls `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name on the command line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the whole layer.
    #[must_use]
    pub fn is_block(&self) -> bool {
        *self == Self::default()
    }
}

/// How a model is turned into scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Names of its score kinds, in the order of their family, without repeats.
    pub scores: Vec<String>,
    /// Window length in bases.
    pub window: u32,
    /// Strands that are scored.
    pub strands: Strands,
    /// Arithmetic of the forward pass.
    pub dtype: Dtype,
    /// Step that scores are rounded to, as typed; lossless without one.
    pub precision: Option<String>,
    /// What its ablation removes of a layer. Not written when it is the whole layer, so that it is part
    /// of the identity of those tracks alone that say otherwise.
    #[serde(default, skip_serializing_if = "AblatedPart::is_block")]
    pub part: AblatedPart,
    /// What only splice models have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splice: Option<SpliceRecipe>,
}

/// How a splice model is turned into scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpliceRecipe {
    /// Positions on either side of a variant that are compared.
    pub distance: u32,
    /// Whose windows and alignment of indels.
    pub convention: SpliceConvention,
    /// Whether gains at annotated sites and losses elsewhere are 0.
    pub mask: bool,
    /// Digest of the table of genes, if there is one.
    pub genes: Option<Digest>,
}

/// How windows are cut, and alternates of another length laid against the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpliceConvention {
    /// As `SpliceAI`: as many positions on either side; the bases that a deletion lacks stand after its anchor; both
    /// ends of a gene belong to it.
    #[default]
    SpliceAi,
    /// As `CI-SpliceAI`: the number of positions is rounded up to an even one; the bases that a deletion lacks stand
    /// before its anchor; the last base of a gene does not belong to it.
    CiSpliceAi,
}

impl SpliceConvention {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::SpliceAi, Self::CiSpliceAi];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpliceAi => "spliceai",
            Self::CiSpliceAi => "cispliceai",
        }
    }
}

impl SpliceRecipe {
    /// The distance of most published scores.
    pub const DISTANCE: u32 = 50;

    /// All of it, as people read it.
    fn text(&self) -> String {
        let mask = if self.mask { ", masked" } else { "" };
        let genes =
            self.genes.as_ref().map_or("no genes".to_owned(), |genes| format!("genes {}", genes.short()));
        format!("distance {}, convention {}{mask}, {genes}", self.distance, self.convention.as_str())
    }

    /// What is not default, as a part of a track's name.
    fn name(&self) -> String {
        let parts = [
            (self.distance != Self::DISTANCE).then(|| format!(".d{}", self.distance)),
            (self.convention != SpliceConvention::default())
                .then(|| format!(".{}", self.convention.as_str())),
            self.mask.then(|| ".masked".to_owned()),
            self.genes.as_ref().map(|genes| format!(".g{}", genes.short())),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl Recipe {
    /// The name a track gets when nobody gives one: `<model>.<kinds joined by +>.w<window>`, and what
    /// is not default.
    #[must_use]
    pub fn track_name(&self, model: &str) -> String {
        let mut name = format!("{model}.{}.w{}", self.scores.join("+"), self.window);
        if self.strands == Strands::Forward {
            name.push_str(".forward");
        }
        if self.dtype != Dtype::default() {
            name.push('.');
            name.push_str(self.dtype.as_str());
        }
        if let Some(step) = &self.precision {
            name.push_str(".p");
            name.push_str(step);
        }
        if !self.part.is_block() {
            name.push_str(".no-");
            name.push_str(self.part.as_str());
        }
        if let Some(splice) = &self.splice {
            name.push_str(&splice.name());
        }
        name
    }
}

/// A model and a recipe under one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// What it is queried by, and its partition on disk.
    pub name: String,
    /// Identity: model id, recipe and numerics revision.
    pub id: Digest,
    /// Name of the model in this store.
    pub model: String,
    /// Identity of the model.
    pub model_id: Digest,
    /// How the model is turned into scores.
    pub recipe: Recipe,
    /// The score columns of its table, in order.
    pub columns: Vec<String>,
    /// The columns of its gene effects, if it has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gene_columns: Vec<String>,
    /// The kinds of effects on targets that it has, as columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effect_columns: Vec<String>,
    /// The targets of these effects, if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// The tracks that its numbers are means of, by id; none of a track that was scored or imported. Its model is then
    /// the names of their models, joined by commas, and the model's id a digest of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<Averaged>,
    /// Where its scores come from when somebody else computed them. Model and recipe are placeholders then:
    /// model [`EXTERNAL_MODEL`], whose id is the source's digest, and a recipe without score kinds, of which
    /// only the precision counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// What stands for the model of a track of imported scores. No model may have this name.
pub const EXTERNAL_MODEL: &str = "external";

/// The source of imported scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// SHA-256 of the imported file.
    pub source: Digest,
    /// For each score column, the column or INFO field of the file that it was read from.
    pub columns: Vec<String>,
    /// Columns of the key that were named, as `position=hg19_pos`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// What became of several scores of one variant, where it was not the first that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<String>,
}

/// Why a track's name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "invalid name of a track, model or study: `{name}`; expected a letter, then letters, digits, `.`, `_`, `+`, `-`, \
     at most {} characters (see --track)",
    MAX_NAME
)]
pub struct NameError {
    /// As given.
    pub name: String,
}

/// Longest name of a track or model in characters.
pub const MAX_NAME: usize = 64;

/// Checks a name that becomes a folder's name: a track's or a model's.
///
/// # Errors
/// When it could not be one.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
    if well_formed { Ok(()) } else { Err(NameError { name: name.to_owned() }) }
}

impl Track {
    /// The track of a model and a recipe; `columns` are the scores that these two have.
    ///
    /// # Errors
    /// When the name cannot be a track's.
    pub fn new(
        name: &str,
        model: &str,
        model_id: Digest,
        recipe: Recipe,
        columns: Vec<String>,
    ) -> Result<Self, NameError> {
        check_name(name)?;
        let identity = json!({ "model": model_id, "recipe": recipe, "numerics": NUMERICS_REVISION });
        Ok(Self {
            name: name.to_owned(),
            id: Digest::of_json(&identity),
            model: model.to_owned(),
            model_id,
            columns,
            gene_columns: Vec::new(),
            effect_columns: Vec::new(),
            targets: None,
            mean: Vec::new(),
            recipe,
            external: None,
        })
    }

    /// A track of scores that somebody else computed. Its identity is where they come from and the precision;
    /// `columns` are their names in the store.
    ///
    /// # Errors
    /// When the name cannot be a track's.
    pub fn of_file(
        name: &str,
        external: External,
        columns: Vec<String>,
        precision: Option<String>,
    ) -> Result<Self, NameError> {
        check_name(name)?;
        let External { source, columns: from, keys, duplicates } = &external;
        let mut identity =
            json!({ "external": source, "from": from, "columns": columns, "precision": precision });
        // Absent when nothing was said, which keeps older ids.
        if !keys.is_empty() {
            identity["keys"] = json!(keys);
        }
        if let Some(policy) = duplicates {
            identity["duplicates"] = json!(policy);
        }
        let recipe = Recipe {
            scores: Vec::new(),
            window: 0,
            strands: Strands::Forward,
            dtype: Dtype::F32,
            precision,
            part: AblatedPart::default(),
            splice: None,
        };
        Ok(Self {
            name: name.to_owned(),
            id: Digest::of_json(&identity),
            model: EXTERNAL_MODEL.to_owned(),
            model_id: external.source,
            recipe,
            columns,
            gene_columns: Vec::new(),
            effect_columns: Vec::new(),
            targets: None,
            mean: Vec::new(),
            external: Some(external),
        })
    }

    /// The same with effects: one column per kind in `columns`, on targets of these names. Neither is part of the
    /// identity, which the model and the recipe settle.
    #[must_use]
    pub fn with_effects(self, columns: Vec<String>, names: &[String]) -> Self {
        let targets = (!columns.is_empty()).then(|| Targets::of(names));
        Self { effect_columns: columns, targets, ..self }
    }

    /// The columns of numbers that its rows of `table` have.
    #[must_use]
    pub fn columns_of(&self, table: Table) -> &[String] {
        match table {
            Table::Scores | Table::Ablation => &self.columns,
            Table::GeneEffects => &self.gene_columns,
            Table::Effects => &self.effect_columns,
            Table::Embeddings => &[],
        }
    }

    /// The recipe as people read it.
    #[must_use]
    pub fn recipe_text(&self) -> String {
        let precision = self.recipe.precision.as_ref().map(|step| format!(", precision {step}"));
        let precision = precision.unwrap_or_default();
        if self.external.is_some() {
            return format!("imported{precision}");
        }
        let mean = match self.mean.len() {
            0 => String::new(),
            tracks => format!("mean of {tracks} tracks: "),
        };
        let strands = match self.recipe.strands {
            Strands::Both => "both strands",
            Strands::Forward => "forward strand",
        };
        let (scores, dtype) = (self.recipe.scores.join("+"), self.recipe.dtype.as_str());
        if let Some(splice) = &self.recipe.splice {
            return format!("{mean}{scores}, {}, {dtype}{precision}", splice.text());
        }
        format!("{mean}{scores}, window {} bp, {strands}, {dtype}{precision}", self.recipe.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            scores: vec!["llr".to_owned(), "distance".to_owned()],
            window: 600,
            strands: Strands::Both,
            dtype: Dtype::F32,
            precision: None,
            part: AblatedPart::default(),
            splice: None,
        }
    }

    fn columns() -> Vec<String> {
        vec!["llr".to_owned()]
    }

    #[test]
    fn a_changed_parameter_is_another_track() {
        let id = |recipe: Recipe| Track::new("t", "m", Digest::of(b"m"), recipe, columns()).unwrap().id;
        let plain = id(recipe());
        assert_ne!(plain, id(Recipe { window: 594, ..recipe() }));
        assert_ne!(plain, id(Recipe { strands: Strands::Forward, ..recipe() }));
        assert_ne!(plain, id(Recipe { dtype: Dtype::Bf16, ..recipe() }));
        assert_ne!(plain, id(Recipe { precision: Some("0.001".into()), ..recipe() }));
        assert_ne!(plain, id(Recipe { scores: vec!["llr".to_owned()], ..recipe() }));
        assert_ne!(plain, id(Recipe { part: AblatedPart::new("mlp"), ..recipe() }));
        assert!(!json!(recipe()).to_string().contains("part"), "an absent field keeps older ids");
        assert_ne!(plain, Track::new("t", "m", Digest::of(b"n"), recipe(), columns()).unwrap().id);
        assert_eq!(plain, Track::new("other-name", "m", Digest::of(b"m"), recipe(), columns()).unwrap().id);
    }

    #[test]
    fn what_decides_imported_scores_is_part_of_the_identity() {
        let source = External {
            source: Digest::of(b"file"),
            columns: vec!["s".to_owned()],
            keys: Vec::new(),
            duplicates: None,
        };
        let id = |external: &External| {
            Track::of_file("t", external.clone(), vec!["s".to_owned()], None).unwrap().id.to_string()
        };
        assert_eq!(
            serde_json::to_string(&source).unwrap().matches(':').count(),
            2,
            "an absent field keeps older ids"
        );
        let keys = External { keys: vec!["position=hg19_pos".to_owned()], ..source.clone() };
        let mean = External { duplicates: Some("mean".to_owned()), ..source.clone() };
        assert!(id(&source) != id(&keys) && id(&source) != id(&mean) && id(&keys) != id(&mean));
    }

    /// Of tracks that earlier versions made.
    #[test]
    fn ids_are_those_of_stores_written_so_far() {
        let digest = |text: &str| Digest::parse(text).unwrap();
        let model = digest("4667a412d1f8c9ad7cc6459f3bb520114e01797fad5cfbf67dbf678576ef01a6");
        let llr = Recipe { scores: vec!["llr".to_owned()], window: 96, ..recipe() };
        assert_eq!(
            Track::new("scored", "small", model, llr, columns()).unwrap().id.to_string(),
            "913ee9e7694f8acf740e2bbe78d900d3d4f540e5a1d8c7370b79a14e972ac413"
        );
        let plain = External {
            source: digest("d4b4e6f8053ce2e46d7f48b2f8af03d712f26e7bec4349a256506c333d0a5d29"),
            columns: vec!["first".to_owned(), "second".to_owned()],
            keys: Vec::new(),
            duplicates: None,
        };
        assert_eq!(
            Track::of_file("imported", plain.clone(), plain.columns, None).unwrap().id.to_string(),
            "f3af805a883a7ed523705624e39de07399332c6e45ee7fd7d62190e92d6389e1"
        );
        let whole = External {
            source: digest("f50f574e8b02af13e499245913a1452d735afa3ef00a7755f0a22a4b728c8222"),
            columns: vec!["größe".to_owned()],
            keys: vec!["position=position".to_owned()],
            duplicates: Some("mean".to_owned()),
        };
        assert_eq!(
            Track::of_file("b", whole, vec!["x".to_owned()], Some("0.001".to_owned()))
                .unwrap()
                .id
                .to_string(),
            "3f7e7a0ea14d9f63a654011521549832e717d22aef7bc9cf52942c9b02960bab"
        );
    }

    #[test]
    fn default_names_say_what_is_not_default() {
        assert_eq!(recipe().track_name("nt"), "nt.llr+distance.w600");
        let special = Recipe {
            strands: Strands::Forward,
            dtype: Dtype::Bf16,
            precision: Some("0.001".into()),
            ..recipe()
        };
        assert_eq!(special.track_name("nt"), "nt.llr+distance.w600.forward.bf16.p0.001");
    }

    #[test]
    fn names_that_could_not_be_folders_are_refused() {
        for name in ["", "1a", ".a", "a/b", "a b", "a\u{e9}", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("nt-v2_50m.llr+distance.w600").is_ok());
    }
}

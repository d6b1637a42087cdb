//! Tracks: a model and a recipe, scored once, stored once, queried by name.

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use crate::calibration::{Calibration, Scale};
use crate::digest::Digest;
use crate::mean::Averaged;
use crate::meaning::Direction;
use crate::recipe::{AblatedPart, Dtype, Recipe, Strands};
use crate::segment::Table;
use crate::targets::Targets;

/// Revision of the engine's arithmetic. It grows when the same model and recipe would give other
/// numbers, and with it every track id, so that old and new scores never share a table.
pub const NUMERICS_REVISION: u32 = 1;

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
    /// Its calibrations, as the catalog has them beside it; not part of its record, nor of what segments say of it.
    #[serde(skip)]
    pub calibrations: Vec<Calibration>,
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
    /// Which values of each score column are extreme, if the import stated that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directions: Vec<Direction>,
    /// The published set that the file is of, whose ranges were checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Which value of a list in one cell counted, if that was stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
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
            calibrations: Vec::new(),
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
        let External { source, columns: from, keys, duplicates, directions, preset, list } = &external;
        let mut identity =
            json!({ "external": source, "from": from, "columns": columns, "precision": precision });
        // Absent when nothing was said, which keeps older ids.
        if !keys.is_empty() {
            identity["keys"] = json!(keys);
        }
        if let Some(policy) = duplicates {
            identity["duplicates"] = json!(policy);
        }
        if !directions.is_empty() {
            identity["directions"] = json!(directions);
        }
        if let Some(preset) = preset {
            identity["preset"] = json!(preset);
        }
        if let Some(rule) = list {
            identity["list"] = json!(rule);
        }
        let recipe = Recipe {
            scores: Vec::new(),
            window: 0,
            strands: Strands::Forward,
            dtype: Dtype::F32,
            precision,
            part: AblatedPart::default(),
            splice: None,
            regulatory: None,
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
            calibrations: Vec::new(),
        })
    }

    /// The same with effects: one column per kind in `columns`, on targets of these names, which the numbers of gene
    /// columns are then of, too. Nothing of this is part of the identity, which the model and the recipe settle.
    #[must_use]
    pub fn with_effects(self, columns: Vec<String>, names: &[String]) -> Self {
        let targets = (!names.is_empty()).then(|| Targets::of(names));
        Self { effect_columns: columns, targets, ..self }
    }

    /// How many numbers each list in its rows of `table` holds; none where there are no lists.
    #[must_use]
    pub fn list_length(&self, table: Table) -> Option<u32> {
        let has_lists = matches!(table, Table::Effects | Table::GeneEffects);
        self.targets.filter(|_| has_lists && !self.columns_of(table).is_empty()).map(|targets| targets.count)
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

    /// Whether the catalog has the same record of both, whatever their calibrations.
    #[must_use]
    pub fn is_record_of(&self, other: &Self) -> bool {
        Self { calibrations: other.calibrations.clone(), ..self.clone() } == *other
    }

    /// The calibration and the scale behind one of the columns that calibrations make.
    #[must_use]
    pub fn calibrated(&self, name: &str) -> Option<(&Calibration, Scale)> {
        self.calibrations.iter().find_map(|calibration| Some((calibration, calibration.scale(name)?)))
    }

    /// The score columns, each before the columns that its calibration makes.
    pub fn scores(&self) -> impl Iterator<Item = (String, Option<Scale>)> + '_ {
        self.columns.iter().flat_map(|column| {
            let calibration = self.calibrations.iter().find(|calibration| calibration.column == *column);
            let made = calibration
                .into_iter()
                .flat_map(|calibration| Scale::ALL.map(|scale| (calibration.name(scale), Some(scale))));
            std::iter::once((column.clone(), None)).chain(made)
        })
    }

    /// What its scores are rounded to, behind a comma; nothing where they are not.
    #[must_use]
    pub fn precision_text(&self) -> String {
        let precision = self.recipe.rounding().zip(self.recipe.precision.as_ref());
        let text = precision.map(|(rounding, text)| format!(", precision {text} ({})", rounding.loss()));
        text.unwrap_or_default()
    }

    /// The recipe as people read it.
    #[must_use]
    pub fn recipe_text(&self) -> String {
        let precision = self.precision_text();
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
        let more = self.recipe.regulatory.as_ref().map(|regulatory| format!(", {}", regulatory.text()));
        let more = more.unwrap_or_default();
        format!("{mean}{scores}, window {} bp, {strands}{more}, {dtype}{precision}", self.recipe.window)
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
            regulatory: None,
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
            directions: Vec::new(),
            preset: None,
            list: None,
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
        let low = External { directions: vec![Direction::Low], ..source.clone() };
        assert!(id(&source) != id(&keys) && id(&source) != id(&mean) && id(&keys) != id(&mean));
        let preset = External { preset: Some("cadd".to_owned()), ..source.clone() };
        let list = External { list: Some("max".to_owned()), ..source.clone() };
        assert!([low, preset, list].iter().all(|other| id(&source) != id(other)));
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
            directions: Vec::new(),
            preset: None,
            list: None,
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
            directions: Vec::new(),
            preset: None,
            list: None,
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

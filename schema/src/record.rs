//! What records of the catalog must be, whoever wrote them: a store may come from somebody else, with checksums that
//! fit.

use std::collections::HashSet;
use std::path::{Component, Path};

use thiserror::Error;

use crate::assembly::Assembly;
use crate::catalog::{Run, StoreRecord};
use crate::hub::{is_commit, is_repository};
use crate::mean::{MAX_AVERAGED, models_of};
use crate::model::{Architecture, Model, RegulatoryRecord, TokenizerKind};
use crate::precision::Precision;
use crate::recipe::{LONGEST_WINDOW, MAX_SHIFTS, RegulatoryRecipe};
use crate::segment::Segment;
use crate::shard::Shard;
use crate::table::{GENE_COLUMN, TARGET_COLUMN, is_reserved_column};
use crate::targets::MAX_TARGETS;
use crate::track::{EXTERNAL_MODEL, Track, check_name};

/// Numbers of runs and segments are below this: far beyond use, and far from where counting ends.
const NUMBERS: u64 = 1 << 48;
/// The widest hidden state; embeddings of that width are still lists that Arrow can hold.
const HIDDEN: u32 = 1 << 20;

/// The widest context of a splice model, both sides together.
const CONTEXT: u32 = 1 << 20;

/// Why a record is not one that a store can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} `{}`: {problem}", value.escape_debug())]
pub struct RecordError {
    /// Which part of it.
    pub field: &'static str,
    /// What it says.
    pub value: String,
    /// What is wrong with that.
    pub problem: &'static str,
}

fn must(holds: bool, field: &'static str, value: &str, problem: &'static str) -> Result<(), RecordError> {
    if holds { Ok(()) } else { Err(RecordError { field, value: value.to_owned(), problem }) }
}

fn named(name: &str, key: &str) -> Result<(), RecordError> {
    must(check_name(name).is_ok(), "name", name, "not a name that a store can have")?;
    must(name == key, "name", name, "not the name of its key")
}

impl StoreRecord {
    /// Checks that it has contigs, each with a name of its own that can be printed.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self) -> Result<(), RecordError> {
        must(!self.assembly.contigs.is_empty(), "contigs", "[]", "a reference has at least one")?;
        let mut seen = HashSet::new();
        for contig in &self.assembly.contigs {
            let name = &contig.name;
            let plain = !name.is_empty() && !name.chars().any(char::is_control);
            must(plain, "contig", name, "not a name: empty, or with control characters")?;
            must(seen.insert(name), "contig", name, "named twice")?;
            must(contig.length > 0, "contig", name, "without bases")?;
            let digest = &contig.digest;
            must(!digest.chars().any(char::is_control), "digest", digest, "not a refget digest")?;
        }
        Ok(())
    }
}

impl Model {
    /// Checks that the model can stand under `key`: layers within the checkpoint's, copied files within the store.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, key: &str) -> Result<(), RecordError> {
        named(&self.name, key)?;
        must(self.name != EXTERNAL_MODEL, "name", key, "kept for imported scores")?;
        let layers = format!("{:?}", self.kept_layers);
        let ascend = self.kept_layers.is_sorted_by(|a, b| a < b);
        let within = self.kept_layers.last().is_none_or(|last| *last < self.layers);
        must(ascend && within, "kept_layers", &layers, "not ascending layers of the checkpoint")?;
        let hidden = self.hidden.to_string();
        must((1..=HIDDEN).contains(&self.hidden), "hidden", &hidden, "not a width of hidden states")?;
        match &self.architecture {
            Architecture::Encoder(encoder) => {
                let words = encoder.tokenizer != TokenizerKind::Kmer(0);
                must(words, "tokenizer", "0-mers", "not a length of words")?;
                let tokens = encoder.max_tokens.unwrap_or(u32::MAX);
                must(tokens > 0, "max_tokens", &tokens.to_string(), "no room for a base")?;
            }
            Architecture::OneHot(network) => {
                let length = network.input_length;
                must(length > 0, "input_length", &length.to_string(), "no room for a base")?;
            }
            Architecture::Splice(splice) => {
                let kept = &splice.kept_networks;
                let within = kept.last().is_some_and(|last| *last < splice.networks);
                let ascend = kept.is_sorted_by(|a, b| a < b);
                must(
                    within && ascend,
                    "kept_networks",
                    &format!("{kept:?}"),
                    "not ascending networks of the checkpoint",
                )?;
                let context = splice.context;
                must(
                    (2..=CONTEXT).contains(&context) && context.is_multiple_of(2),
                    "context",
                    &context.to_string(),
                    "not as many bases on either side",
                )?;
            }
            Architecture::Regulatory(regulatory) => regulatory.check()?,
        }
        for (field, count) in [("parameters", self.parameters), ("weight_bytes", self.weight_bytes)] {
            must(count < NUMBERS, field, &count.to_string(), "beyond what a store counts to")?;
        }
        for origin in [&self.hub, &self.adapter_hub].into_iter().flatten() {
            let (repository, revision) = (&origin.repository, &origin.revision);
            must(is_repository(repository), "hub", repository, "not the id of a repository")?;
            must(is_commit(revision), "hub", revision, "not a commit")?;
        }
        let targets = match &self.architecture {
            Architecture::Regulatory(regulatory) => regulatory.targets_file.as_ref(),
            _ => None,
        };
        for place in [Some(&self.checkpoint), self.adapter.as_ref(), targets].into_iter().flatten() {
            let within = || Path::new(place).components().all(|part| matches!(part, Component::Normal(_)));
            let own = !self.copied || (place.starts_with("models/") && within());
            must(
                own && !place.contains('\0'),
                "place",
                place,
                "a copied model lies in `models/` of the store",
            )?;
        }
        Ok(())
    }
}

impl RegulatoryRecord {
    fn check(&self) -> Result<(), RecordError> {
        let targets = self.targets.to_string();
        must((1..=MAX_TARGETS).contains(&self.targets), "targets", &targets, "not a number of targets")?;
        let parts =
            [("bin", self.bin, 1), ("center_bins", self.center_bins, 0), ("features", self.features, 0)];
        for (field, count, least) in parts {
            let fits = (least..=LONGEST_WINDOW).contains(&count);
            must(fits, field, &count.to_string(), "not a part of a window")?;
        }
        let both = self.targets_file.is_some() == self.targets_digest.is_some();
        must(both, "targets_file", self.targets_file.as_deref().unwrap_or(""), "a table and its digest")
    }
}

/// The models that `model` was derived from among `models`, its parent first.
///
/// # Errors
/// When the model is its own ancestor, or one of them is.
pub fn ancestors<'a>(model: &'a Model, models: &'a [Model]) -> Result<Vec<&'a Model>, RecordError> {
    let parent = |model: &Model| {
        let name = model.parent.as_ref()?;
        models.iter().find(|other| other.name == *name)
    };
    // One more than there are: some model came twice.
    let found: Vec<&Model> =
        std::iter::successors(parent(model), |found| parent(found)).take(models.len() + 1).collect();
    let name = model.parent.as_deref().unwrap_or_default();
    must(found.len() <= models.len(), "parent", name, "a model would be its own ancestor")?;
    Ok(found)
}

impl Track {
    /// Checks that the track can stand under `key`, with columns that its recipe or its import makes.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, key: &str) -> Result<(), RecordError> {
        named(&self.name, key)?;
        let columns = self.columns.join(",");
        let letters =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
        let mut seen = HashSet::new();
        let fit = self.columns.iter().all(|name| !name.is_empty() && letters(name) && seen.insert(name));
        must(fit && !self.columns.is_empty(), "columns", &columns, "not distinct names of scores")?;
        let own = self.columns.iter().find(|name| is_reserved_column(name));
        must(
            own.is_none(),
            "columns",
            own.map_or("", String::as_str),
            "the name of a column of every answer",
        )?;
        if let Some(external) = &self.external {
            let fits = external.columns.len() == self.columns.len() && self.model == EXTERNAL_MODEL;
            must(fits, "external", &columns, "not a column of the imported file for each score")?;
            let directions = external.directions.len();
            let fits = directions == 0 || directions == self.columns.len();
            must(fits, "directions", &directions.to_string(), "not a direction for each score")?;
            for word in [&external.preset, &external.list].into_iter().flatten() {
                let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
                must(plain, "external", word, "not the name of a set or a rule")?;
            }
        } else {
            let kinds = self.recipe.scores.join(",");
            let fit = self.recipe.scores.iter().all(|kind| !kind.is_empty() && letters(kind));
            must(fit && !kinds.is_empty(), "scores", &kinds, "not names of score kinds")?;
            let window = self.recipe.window;
            must(window > 0, "window", "0", "no room for a base")?;
            if let Some(regulatory) = &self.recipe.regulatory {
                must(window <= LONGEST_WINDOW, "window", &window.to_string(), "longer than any model reads")?;
                regulatory.check(window)?;
            }
        }
        if !self.mean.is_empty() {
            let names = self
                .mean
                .iter()
                .all(|track| check_name(&track.name).is_ok() && check_name(&track.model).is_ok());
            let fit = names && (2..=MAX_AVERAGED).contains(&self.mean.len()) && self.external.is_none();
            must(
                fit && self.model == models_of(&self.mean),
                "mean",
                &self.model,
                "not the models of some tracks",
            )?;
        }
        let genes = format!("{:?}", self.gene_columns);
        let mut seen = HashSet::new();
        let fit = self.gene_columns.iter().all(|name| !name.is_empty() && letters(name) && seen.insert(name));
        let own = |name: &String| is_reserved_column(name) || name == GENE_COLUMN || name == TARGET_COLUMN;
        must(
            fit && !self.gene_columns.iter().any(own),
            "gene_columns",
            &genes,
            "not distinct names of effects",
        )?;
        let effects = format!("{:?}", self.effect_columns);
        let mut seen = HashSet::new();
        let fit =
            self.effect_columns.iter().all(|name| !name.is_empty() && letters(name) && seen.insert(name));
        let own = |name: &String| {
            is_reserved_column(name) || name == GENE_COLUMN || name == TARGET_COLUMN || name.ends_with("_0")
        };
        must(
            fit && !self.effect_columns.iter().any(own),
            "effect_columns",
            &effects,
            "not distinct names of kinds of effects",
        )?;
        let both = if self.targets.is_some() {
            !(self.effect_columns.is_empty() && self.gene_columns.is_empty())
        } else {
            self.effect_columns.is_empty()
        };
        must(both, "effect_columns", &effects, "effects without targets, or targets without effects")?;
        let count = self.targets.map_or(1, |targets| targets.count);
        must((1..=MAX_TARGETS).contains(&count), "targets", &count.to_string(), "not a number of targets")?;
        let part = self.recipe.part.as_str();
        must(check_name(part).is_ok(), "part", part, "not the name of a part of a layer")?;
        if let Some(splice) = &self.recipe.splice {
            let distance = splice.distance;
            must(
                (1..CONTEXT / 2).contains(&distance),
                "distance",
                &distance.to_string(),
                "not a distance in a context",
            )?;
        }
        let precision = self.recipe.precision.as_deref().unwrap_or("1");
        must(
            Precision::parse(precision).is_ok(),
            "precision",
            precision,
            "not a positive step or a known name",
        )
    }
}

impl RegulatoryRecipe {
    fn check(&self, window: u32) -> Result<(), RecordError> {
        let mut seen = HashSet::new();
        let shifts = format!("{:?}", self.shifts);
        let fit = |shift: &i32| shift.unsigned_abs() < window && seen.insert(*shift);
        let some = (1..=MAX_SHIFTS).contains(&self.shifts.len()) && self.shifts.iter().all(fit);
        must(some, "shifts", &shifts, "not distinct shifts within the window")?;
        let chosen = self.targets.as_deref().unwrap_or("0");
        must(self.chosen_targets().is_ok(), "targets", chosen, "not ascending ranges of targets")?;
        let share = self.share.unwrap_or(1);
        must(
            (1..=window / 2).contains(&share),
            "share",
            &share.to_string(),
            "not a step within half of the window",
        )
    }
}

impl Run {
    /// Checks that the run can stand under the number `key`.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, key: u64) -> Result<(), RecordError> {
        let number = self.number.to_string();
        must(self.number == key, "number", &number, "not the number of its key")?;
        must(self.number < NUMBERS, "number", &number, "beyond what a store counts to")?;
        let shard = self.shard.map(|shard| shard.to_string()).unwrap_or_default();
        must(self.shard.is_none_or(Shard::is_valid), "shard", &shard, "not a part of a plan")?;
        for (field, count) in [("units", self.units), ("committed", self.committed), ("rows", self.rows)] {
            must(count < NUMBERS, field, &count.to_string(), "beyond what a store counts to")?;
        }
        must(check_name(&self.track).is_ok(), "track", &self.track, "not a name that a track can have")
    }
}

impl Segment {
    /// Checks that the segment lies on the contig at index `contig` of the store's assembly.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, assembly: &Assembly, contig: u32) -> Result<(), RecordError> {
        let found = assembly.contigs.get(contig as usize).filter(|contig| contig.name == self.contig);
        must(found.is_some(), "contig", &self.contig, "not the reference's contig of its key")?;
        let last = self.last.zero_based();
        let within = found.is_some_and(|contig| {
            self.first <= self.last && last < contig.length && last < i32::MAX.cast_unsigned()
        });
        must(within, "last", &last.to_string(), "not a position on its contig")?;
        must(self.number < NUMBERS, "number", &self.number.to_string(), "beyond what a store counts to")?;
        must(self.bytes < NUMBERS, "bytes", &self.bytes.to_string(), "more than a file holds")?;
        must(self.rows > 0 && self.rows < 1 << 32, "rows", &self.rows.to_string(), "not a number of rows")?;
        let of_statuses = self.statuses.values().fold(0_u64, |sum, rows| sum.saturating_add(*rows));
        must(of_statuses <= self.rows, "statuses", &of_statuses.to_string(), "more rows than there are")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembly::Contig;

    #[test]
    fn an_origin_on_the_hub_is_a_repository_and_a_commit() {
        let digest = crate::digest::Digest::of(b"m");
        let model = |repository: &str, revision: &str| -> Model {
            let hub = serde_json::json!({ "repository": repository, "revision": revision });
            serde_json::from_value(serde_json::json!({
                "name": "m", "id": digest, "family": "f", "checkpoint": "/c", "copied": false, "weights_digest": digest,
                "config": {}, "layers": 1, "kept_layers": [0], "hidden": 8, "parameters": 1, "weight_bytes": 4,
                "tokenizer_digest": digest, "masked_lm": true, "labels": null, "tokenizer": "base", "max_tokens": null,
                "hub": hub
            }))
            .expect("a model")
        };
        let commit = "0a".repeat(20);
        assert_eq!(model("lab/nt", &commit).check("m"), Ok(()));
        for (repository, revision) in
            [("../nt", commit.as_str()), ("lab/nt", "main"), ("lab/\u{1b}[2J", &commit)]
        {
            assert!(model(repository, revision).check("m").is_err(), "{repository} {revision}");
        }
    }

    #[test]
    fn a_reference_has_contigs_with_names_of_their_own() {
        let contig = |name: &str| Contig { name: name.to_owned(), length: 9, digest: "SQ.x".to_owned() };
        let store = |names: &[&str]| StoreRecord {
            reference: "x.fa".to_owned(),
            copied: false,
            assembly: Assembly { name: None, contigs: names.iter().map(|name| contig(name)).collect() },
        };
        assert_eq!(store(&["1", "HLA-A*01:01"]).check(), Ok(()));
        for names in [&[][..], &["1", "1"], &[""], &["1\u{1b}[31m"]] {
            assert!(store(names).check().is_err(), "{names:?}");
        }
        let told = store(&["\u{1b}[2J"]).check().unwrap_err().to_string();
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }
}

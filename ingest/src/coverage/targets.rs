//! Which targets are learned, from which files, and how measurements become what is learned.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use vestore_schema::Digest;

use super::error::CoverageError;
use super::form::Form;
use super::transform::{STATISTICS, Statistic, Transform};
use crate::regulatory::{TargetTable, TargetsFileError};

/// The targets that a model is to be trained on: a table of targets with the file of each.
pub struct CoverageTargets {
    table: TargetTable,
    pub(super) files: Vec<TargetFile>,
}

/// The measurements of one target.
pub(super) struct TargetFile {
    pub(super) path: PathBuf,
    pub(super) form: Form,
    digest: Digest,
    pub(super) transform: Transform,
}

impl CoverageTargets {
    /// Reads a table, in which each target has a file of its own: absolute, or relative to the table's folder. All
    /// bytes of the files are read once, for their digests.
    ///
    /// # Errors
    /// The table is not one of targets, names an identifier or a file twice or an unknown `sum_stat`, or a file is
    /// missing or neither bigWig, BED nor bedGraph.
    pub fn read(file: &Path) -> Result<Self, CoverageError> {
        let table = TargetTable::read(file, true)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let (mut identifiers, mut paths) = (HashMap::new(), HashMap::new());
        let mut found = Vec::new();
        for (number, target) in table.targets.iter().enumerate() {
            let line = number + 2;
            let invalid = |column, value: &str, expected: String| TargetsFileError::Value {
                file: file.to_owned(),
                line,
                column,
                value: value.to_owned(),
                expected,
            };
            if let Some(earlier) = identifiers.insert(&target.identifier, line) {
                let expected = format!("another one than in line {earlier}");
                return Err(invalid("identifier", &target.identifier, expected).into());
            }
            let measured = folder.join(&target.file);
            let Some(canonical) = measured.canonicalize().ok().filter(|file| file.is_file()) else {
                let expected = format!("a file, found from `{}`", folder.display());
                return Err(invalid("file", &target.file, expected).into());
            };
            if let Some(earlier) = paths.insert(canonical, line) {
                let expected = format!("another file than in line {earlier}");
                return Err(invalid("file", &target.file, expected).into());
            }
            let Some(statistic) = Statistic::parse(&target.sum_stat) else {
                let known: Vec<&str> = STATISTICS.iter().map(|(name, _)| *name).collect();
                let expected = format!("one of {}", known.join(", "));
                return Err(invalid("sum_stat", &target.sum_stat, expected).into());
            };
            let clip =
                target.clip().map_err(|expected| invalid("clip", &target.clip, expected.to_owned()))?;
            let transform = Transform { scale: target.scale, statistic, clip_soft: target.clip_soft, clip };
            found.push((Form::of(&measured)?, measured, transform));
        }
        let digested: Result<Vec<TargetFile>, CoverageError> = found
            .into_par_iter()
            .map(|(form, path, transform)| {
                let digest = digest_of(&path)?;
                Ok(TargetFile { path, form, digest, transform })
            })
            .collect();
        Ok(Self { table, files: digested? })
    }

    /// The table, as a model is given it.
    #[must_use]
    pub fn table(&self) -> &TargetTable {
        &self.table
    }

    /// Identifiers.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.table.names()
    }

    /// For each target the index of the other strand, or its own.
    #[must_use]
    pub fn pairs(&self) -> Vec<u32> {
        self.table.targets.iter().map(|target| target.pair).collect()
    }

    /// Number of targets.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// What decides the values: the table and the bytes of the files, wherever they lie.
    #[must_use]
    pub fn identity(&self) -> serde_json::Value {
        let file = |file: &TargetFile| json!([file.form.as_str(), file.digest, file.transform.identity()]);
        json!({
            "table": self.table.digest(),
            "files": Digest::of_json(&self.files.iter().map(file).collect()),
        })
    }
}

/// SHA-256 of a file's bytes.
pub(super) fn digest_of(file: &Path) -> Result<Digest, CoverageError> {
    let io = |source| CoverageError::Io { file: file.to_owned(), source };
    let mut opened = BufReader::with_capacity(1 << 20, File::open(file).map_err(io)?);
    let mut hash = Sha256::new();
    loop {
        let read = match opened.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk.map_err(io)?,
        };
        if read.is_empty() {
            return Ok(Digest::from(<[u8; 32]>::from(hash.finalize())));
        }
        hash.update(read);
        let read = read.len();
        opened.consume(read);
    }
}

//! Contig names of an input file, resolved once each.

use std::collections::HashMap;
use std::path::Path;

use vestore_schema::Assembly;

use super::plan::PlanError;

/// Names that are remembered; beyond that a file is no genome file any more, and memory is bounded.
const REMEMBERED: usize = 100_000;

/// Resolves names, and remembers whether any was known.
pub(crate) struct Contigs<'a> {
    assembly: &'a Assembly,
    known: HashMap<String, Option<u32>>,
    any_known: bool,
    /// The first unknown name.
    unknown: Option<String>,
}

impl<'a> Contigs<'a> {
    pub(crate) fn new(assembly: &'a Assembly) -> Self {
        Self { assembly, known: HashMap::new(), any_known: false, unknown: None }
    }

    /// The index of the contig that `name` names.
    pub(crate) fn resolve(&mut self, name: &str) -> Option<u32> {
        if let Some(index) = self.known.get(name) {
            return *index;
        }
        let index = self.assembly.resolve(name);
        if index.is_some() {
            self.any_known = true;
        } else if self.unknown.is_none() {
            self.unknown = Some(name.to_owned());
        }
        if self.known.len() == REMEMBERED {
            self.known.clear();
        }
        self.known.insert(name.to_owned(), index);
        index
    }

    /// An error when names were asked for and none was known.
    pub(crate) fn check_any_known(&self, path: &Path) -> Result<(), PlanError> {
        match &self.unknown {
            Some(contig) if !self.any_known => Err(PlanError::NoKnownContig {
                path: path.into(),
                contig: contig.clone(),
                known: self.assembly.contigs.iter().take(5).map(|contig| contig.name.clone()).collect(),
            }),
            _ => Ok(()),
        }
    }
}

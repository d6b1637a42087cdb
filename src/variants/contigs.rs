//! Contig names of an input file, resolved once each.

use std::collections::HashMap;
use std::path::Path;

use vestore_schema::{Assembly, ContigNames};

use super::header::HeaderContig;
use super::plan::PlanError;
use crate::reference::{Reference, ReferenceError};

/// Names that are remembered; beyond that a file is not a genome file any more, and memory is bounded.
const REMEMBERED: usize = 100_000;
/// Contradicting lengths that a warning spells out.
const SPELLED_OUT: usize = 3;

/// Resolves the contig names of one file, and remembers whether any was known.
pub struct Contigs<'a> {
    assembly: &'a Assembly,
    names: ContigNames<'a>,
    /// What the file's header says of ambiguous names.
    declared: HashMap<String, u32>,
    known: HashMap<String, Option<u32>>,
    any_known: bool,
    /// The first unknown name.
    unknown: Option<String>,
}

impl<'a> Contigs<'a> {
    /// Names mean contigs of `assembly`.
    #[must_use]
    pub fn new(assembly: &'a Assembly) -> Self {
        Self {
            assembly,
            names: ContigNames::new(assembly),
            declared: HashMap::new(),
            known: HashMap::new(),
            any_known: false,
            unknown: None,
        }
    }

    /// Takes in what a header declares. Where several contigs can be meant by a name, its MD5 decides, which needs
    /// the `reference`, or its length. Gives warnings about lengths that are not those of the reference.
    pub(crate) fn declare(
        &mut self,
        path: &Path,
        contigs: &[HeaderContig],
        mut reference: Option<&mut Reference>,
    ) -> Result<Vec<String>, ReferenceError> {
        let (mut differing, mut strange) = (Vec::new(), Vec::new());
        for declared in contigs {
            let candidates = self.names.candidates(&declared.name);
            let Some(&likeliest) = candidates.first() else { continue };
            let length = |contig: u32| u64::from(self.assembly.contig(contig).length);
            let mut meant = None;
            // A digest costs reading the contig, which a length that is stated saves.
            if let (Some(md5), Some(reference)) = (&declared.md5, reference.as_deref_mut())
                && (candidates.len() > 1 || declared.length.is_none())
            {
                for candidate in &candidates {
                    if reference.md5(*candidate)?.eq_ignore_ascii_case(md5) {
                        meant = Some(*candidate);
                        break;
                    }
                }
                if meant.is_none() {
                    strange.push(format!("`{}` with MD5 `{md5}`", declared.name));
                }
            }
            if candidates.len() > 1
                && meant.is_none()
                && self.assembly.contig(likeliest).name != declared.name
            {
                meant = candidates.iter().copied().find(|contig| declared.length == Some(length(*contig)));
            }
            let contig = meant.unwrap_or(likeliest);
            self.declared.insert(declared.name.clone(), contig);
            if let Some(stated) = declared.length.filter(|stated| *stated != length(contig)) {
                differing.push((declared.name.as_str(), stated, contig));
            }
        }
        let strange = (!strange.is_empty()).then(|| {
            let more = strange.len().saturating_sub(SPELLED_OUT);
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            strange.truncate(SPELLED_OUT);
            format!(
                "{}: its header declares contig {}{more}, which no contig of that name in the reference has; is it the \
                 same assembly?",
                path.display(),
                strange.join("; contig ")
            )
        });
        Ok(self.length_warning(path, &differing).into_iter().chain(strange).collect())
    }

    fn length_warning(&self, path: &Path, differing: &[(&str, u64, u32)]) -> Option<String> {
        let spell = |(name, stated, contig): &(&str, u64, u32)| {
            let known = self.assembly.contig(*contig);
            format!(
                "`{name}` of length {stated}, contig `{}` of the reference has {}",
                known.name, known.length
            )
        };
        let spelled: Vec<String> = differing.iter().take(SPELLED_OUT).map(spell).collect();
        let more = match differing.len().saturating_sub(SPELLED_OUT) {
            0 => String::new(),
            1 => ", and 1 more contig that differs".to_owned(),
            more => format!(", and {more} more contigs that differ"),
        };
        (!spelled.is_empty()).then(|| {
            format!(
                "{}: its header declares contig {}{more}; is it the same assembly?",
                path.display(),
                spelled.join("; contig ")
            )
        })
    }

    /// The index of the contig that `name` means.
    pub fn resolve(&mut self, name: &str) -> Option<u32> {
        if let Some(index) = self.known.get(name) {
            return *index;
        }
        let index = self.declared.get(name).copied().or_else(|| self.names.resolve(name));
        // Files of dbSNP call contigs by their accessions; one of another assembly is unknown.
        let index = index.or_else(|| self.assembly.of_accession(name));
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
    ///
    /// # Errors
    /// [`PlanError::NoKnownContig`].
    pub fn check_any_known(&self, path: &Path) -> Result<(), PlanError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variants::VariantHeader;

    #[test]
    fn an_md5_that_no_contig_has_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fa");
        std::fs::write(&path, b">chr1\nACGTAC\n").unwrap();
        let mut reference = Reference::open(&path).unwrap();
        let assembly = reference.survey().unwrap();
        for (md5, warnings) in
            [("1617b7d879d437fa4c87da5875264b14", 0), ("0017b7d879d437fa4c87da5875264b14", 1)]
        {
            let header = VariantHeader::parse(&format!("##contig=<ID=1,md5={md5}>"));
            let mut contigs = Contigs::new(&assembly);
            let found = contigs.declare(Path::new("x.vcf"), &header.contigs, Some(&mut reference)).unwrap();
            assert_eq!(found.len(), warnings, "{found:?}");
            assert!(found.iter().all(|text| text.contains("contig `1` with MD5 `0017")), "{found:?}");
        }
    }
}

//! The DNA that is trained on or measured on: contigs of FASTA files, in memory, with their soft masks, and the
//! regions of it whose bases are known.

mod known;

use std::path::{Path, PathBuf};

use thiserror::Error;
use vestore::{FastaPiece, ReferenceError, read_fasta, sequence_digest};
use vestore_schema::{Assembly, Contig, Region};

pub use self::known::KnownRegions;
pub(crate) use self::known::WindowStarts;

/// Why FASTA files cannot be trained on.
#[derive(Debug, Error)]
pub enum GenomeError {
    /// A FASTA cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A contig that positions cannot count.
    #[error("contig `{contig}` of `{}` is longer than {} bases", file.display(), u32::MAX)]
    TooLong {
        /// The contig.
        contig: String,
        /// The file.
        file: PathBuf,
    },
    /// Two files have contigs of one name.
    #[error(
        "contig `{contig}` is in `{}` and in `{}`; rename one, or leave one of the files out",
        first.display(), second.display()
    )]
    Twice {
        /// The contig, as the second file spells it.
        contig: String,
        /// Where it was found first.
        first: PathBuf,
        /// Where it was found again.
        second: PathBuf,
    },
}

/// Contigs of one or more FASTA files, a byte a base.
pub struct Genome {
    assembly: Assembly,
    /// Upper-case ACGT, lower-case acgt where soft-masked, N for everything else.
    contigs: Vec<Vec<u8>>,
    unmasked: Vec<bool>,
    files: Vec<PathBuf>,
}

impl Genome {
    /// Reads all contigs of `files`. A contig without a single upper-case base carries no mask: such files
    /// are written in lower case throughout.
    ///
    /// # Errors
    /// When a file cannot be read, or a contig's name stands in two of them.
    pub fn read(files: &[PathBuf]) -> Result<Self, GenomeError> {
        let mut genome = Self {
            assembly: Assembly::default(),
            contigs: Vec::new(),
            unmasked: Vec::new(),
            files: Vec::new(),
        };
        for file in files {
            let mut open: Option<(String, Vec<u8>)> = None;
            read_fasta(file, |piece| -> Result<(), GenomeError> {
                match (piece, &mut open) {
                    (FastaPiece::Contig(name), open) => {
                        if let Some((name, letters)) = open.replace((name.to_owned(), Vec::new())) {
                            genome.add(name, letters, file)?;
                        }
                    }
                    (FastaPiece::Bases(bases), Some((_, letters))) => letters.extend_from_slice(bases),
                    (FastaPiece::Bases(_), None) => unreachable!("bases before a contig; this is a bug"),
                }
                Ok(())
            })?;
            if let Some((name, letters)) = open {
                genome.add(name, letters, file)?;
            }
        }
        Ok(genome)
    }

    fn add(&mut self, name: String, mut letters: Vec<u8>, file: &Path) -> Result<(), GenomeError> {
        if let Some(known) = self.assembly.resolve(&name) {
            return Err(GenomeError::Twice {
                contig: name,
                first: self.files[known as usize].clone(),
                second: file.to_owned(),
            });
        }
        let digest = sequence_digest(&letters.to_ascii_uppercase());
        let length = u32::try_from(letters.len())
            .map_err(|_| GenomeError::TooLong { contig: name.clone(), file: file.to_owned() })?;
        let contig = Contig { name, length, digest };
        let unmasked = !letters.iter().any(u8::is_ascii_uppercase);
        for letter in &mut letters {
            if unmasked {
                letter.make_ascii_uppercase();
            }
            if !b"ACGTacgt".contains(letter) {
                *letter = b'N';
            }
        }
        self.assembly.contigs.push(contig);
        self.contigs.push(letters);
        self.unmasked.push(unmasked);
        self.files.push(file.to_owned());
        Ok(())
    }

    /// The contigs, with their refget digests, in the order of the files.
    #[must_use]
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// Names of the contigs that were written in lower case throughout and therefore carry no soft mask.
    pub fn without_mask(&self) -> impl Iterator<Item = &str> {
        let contigs = self.assembly.contigs.iter().zip(&self.unmasked);
        contigs.filter(|(_, unmasked)| **unmasked).map(|(contig, _)| contig.name.as_str())
    }

    /// The letters of `region`: ACGT, acgt where soft-masked, N.
    ///
    /// # Panics
    /// When the region is not inside this genome, which is a bug.
    #[must_use]
    pub fn letters(&self, region: Region) -> &[u8] {
        &self.contigs[region.contig as usize][region.start as usize..region.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_a_mask_unless_a_contig_has_but_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.fa");
        std::fs::write(&file, ">x\nACgtN\nrY\n>low\nacgtn\n").expect("written");
        let genome = Genome::read(std::slice::from_ref(&file)).expect("a genome");
        assert_eq!(genome.letters(genome.assembly().whole(0)), b"ACgtNNN");
        assert_eq!(genome.letters(genome.assembly().whole(1)), b"ACGTN");
        assert_eq!(genome.without_mask().collect::<Vec<_>>(), ["low"]);
        let other = directory.path().join("b.fa");
        std::fs::write(&other, ">chrx\nACGT\n").expect("written");
        let twice = Genome::read(&[file, other]).err().expect("an error").to_string();
        assert!(twice.contains("contig `chrx` is in") && twice.contains("b.fa"), "{twice}");
    }
}

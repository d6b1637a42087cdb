//! From FASTA to words of bases.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use vestore::{FastaPiece, read_fasta};

use super::super::layout::{BASES, SPECIAL};
use super::spill::Spill;
use super::{BREAK, TrainTokenizerError};
use crate::convert::narrow;

/// What was read of the inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorpusCounts {
    /// Contigs.
    pub contigs: u64,
    /// Bases to learn from.
    pub bases: u64,
    /// Soft-masked A, C, G, T that were left out.
    pub masked: u64,
    /// Letters other than A, C, G, T.
    pub other: u64,
    /// Contigs taken whole although all of their letters are lower case.
    pub without_mask: Vec<String>,
}

/// Reads the inputs into `spill`, a word after the other.
pub(super) fn read(
    inputs: &[PathBuf],
    skip_soft_masked: bool,
    spill: &mut Spill,
    stopped: impl Fn() -> Result<(), TrainTokenizerError>,
) -> Result<CorpusCounts, TrainTokenizerError> {
    let mut token = [BREAK; 256];
    for (id, base) in (narrow(SPECIAL.len())..).zip(BASES) {
        let base = base.as_bytes()[0];
        token[usize::from(base)] = id;
        token[usize::from(base.to_ascii_lowercase())] = id;
    }
    let mut counts = CorpusCounts::default();
    for path in inputs {
        let masked = if skip_soft_masked { masked_contigs(path, &mut counts)? } else { HashSet::new() };
        let (mut number, mut skip) = (0_u64, false);
        read_fasta(path, |piece| {
            let bases = match piece {
                FastaPiece::Contig(_) => {
                    skip = masked.contains(&number);
                    number += 1;
                    stopped()?;
                    return spill.push(BREAK);
                }
                FastaPiece::Bases(bases) => bases,
            };
            for base in bases {
                let token = token[usize::from(*base)];
                if token == BREAK {
                    counts.other += 1;
                    spill.push(BREAK)?;
                } else if skip && base.is_ascii_lowercase() {
                    counts.masked += 1;
                    spill.push(BREAK)?;
                } else {
                    counts.bases += 1;
                    spill.push(token)?;
                }
            }
            Ok(())
        })?;
        counts.contigs += number;
        spill.push(BREAK)?;
    }
    spill.flush()?;
    Ok(counts)
}

/// The numbers of the contigs that carry a mask: they have an upper-case A, C, G or T.
fn masked_contigs(path: &Path, counts: &mut CorpusCounts) -> Result<HashSet<u64>, TrainTokenizerError> {
    let (mut names, mut masked) = (Vec::new(), HashSet::new());
    read_fasta(path, |piece| {
        match piece {
            FastaPiece::Contig(name) => names.push(name.to_owned()),
            FastaPiece::Bases(bases) => {
                if bases.iter().any(|base| b"ACGT".contains(base)) {
                    masked.insert(names.len() as u64 - 1);
                }
            }
        }
        Ok::<_, TrainTokenizerError>(())
    })?;
    let without = (0..).zip(names).filter(|(number, _)| !masked.contains(number));
    counts.without_mask.extend(without.map(|(_, name)| name));
    Ok(masked)
}

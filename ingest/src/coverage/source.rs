//! A file of coverage by contigs of the reference, whatever its form.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use vestore_schema::{Assembly, ContigNames};

use super::bigwig::BigWig;
use super::error::CoverageError;
use super::form::Form;
use super::spool::Spool;
use crate::convert::as_index;

/// Bases of one value, 0-based half-open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) value: f32,
}

/// An open file of coverage. Bases that are in no interval count 0.
pub(super) enum Source {
    /// With its contig for each contig of the reference.
    BigWig(PathBuf, BigWig, Vec<Option<u32>>),
    Text(Spool),
}

impl Source {
    /// Opens a file, which must have the contigs of the reference that are `wanted`, and of their lengths.
    pub(super) fn open(
        file: &Path,
        form: Form,
        assembly: &Assembly,
        wanted: &[bool],
        folder: &Path,
        interrupted: &AtomicBool,
    ) -> Result<Self, CoverageError> {
        if form != Form::BigWig {
            let spool = Spool::read(file, form, assembly, folder, interrupted)?;
            // Peaks may be on few contigs; coverage without a line on one is another genome's, or cut short.
            let absent = (0u32..).zip(&assembly.contigs).zip(wanted);
            let absent = absent.filter(|(_, wanted)| **wanted && form == Form::BedGraph);
            for ((number, contig), _) in absent {
                if !spool.has(number) {
                    return Err(CoverageError::NoContig {
                        file: file.to_owned(),
                        contig: contig.name.clone(),
                        found: spool.contigs(assembly),
                    });
                }
            }
            return Ok(Self::Text(spool));
        }
        let opened = BigWig::open(file)?;
        let names = ContigNames::new(&opened.contigs);
        let mut places = vec![None; assembly.contigs.len()];
        for ((place, contig), _) in
            places.iter_mut().zip(&assembly.contigs).zip(wanted).filter(|(_, wanted)| **wanted)
        {
            let Some(found) = names.resolve(&contig.name) else {
                return Err(CoverageError::NoContig {
                    file: file.to_owned(),
                    contig: contig.name.clone(),
                    found: opened.contigs.contigs.iter().map(|contig| contig.name.clone()).collect(),
                });
            };
            let its = opened.contigs.contig(found);
            if its.length != contig.length {
                return Err(CoverageError::OtherAssembly {
                    file: file.to_owned(),
                    contig: its.name.clone(),
                    found: format!("has {}", its.length),
                    length: contig.length,
                });
            }
            *place = Some(found);
        }
        drop(names);
        Ok(Self::BigWig(file.to_owned(), opened, places))
    }

    /// Hands the intervals that share bases with `start..end` of a contig of the reference to `visit`, in ascending
    /// order and disjoint. Their values are finite and not negative.
    pub(super) fn visit(
        &self,
        contig: u32,
        start: u32,
        end: u32,
        visit: &mut dyn FnMut(Interval),
    ) -> Result<(), CoverageError> {
        let (file, opened, places) = match self {
            Self::BigWig(file, opened, places) => (file, opened, places),
            Self::Text(spool) => {
                return spool.visit(contig, start, end, &mut |interval| {
                    visit(interval);
                    Ok(())
                });
            }
        };
        let Some(place) = places[as_index(contig.into())] else { return Ok(()) };
        opened.visit(place, start, end, &mut |interval| {
            if !interval.value.is_finite() || interval.value < 0.0 {
                return Err(CoverageError::Measurement {
                    file: file.clone(),
                    contig: opened.contigs.contig(place).name.clone(),
                    one_based: u64::from(interval.start) + 1,
                    value: interval.value.to_string(),
                });
            }
            visit(interval);
            Ok(())
        })
    }
}

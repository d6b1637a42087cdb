//! BED files: regions, 0-based half-open.

use std::path::Path;

use vestore_schema::{Assembly, Region};

use super::contigs::Contigs;
use super::input::{Input, InputError};
use super::normalize::Rejection;
use super::plan::PlanError;
use super::report::{Listed, Report};

/// Columns that are read.
const COLUMNS: usize = 3;

/// The regions of a BED file (plain, BGZF or gzip; `-` is standard input), in its order. A region
/// that reaches beyond its contig is cut there; what lies wholly beyond it, or on an unknown contig,
/// is counted and listed in `report`.
///
/// # Errors
/// The file cannot be read, a line is malformed, or it has lines and none is on a known contig.
pub fn read_bed(path: &Path, assembly: &Assembly, report: &mut Report) -> Result<Vec<Region>, PlanError> {
    let mut input = Input::open(path)?;
    let mut contigs = Contigs::new(assembly);
    let mut line = Vec::new();
    let mut regions = Vec::new();
    while input.read_line(&mut line, COLUMNS)? {
        let Some(region) = BedLine::parse(&input, &line)? else { continue };
        let BedLine { contig: name, start, end, .. } = region;
        let contig = contigs.resolve(name);
        let length = contig.map_or(0, |contig| assembly.contig(contig).length);
        let listed = Listed {
            path: input.path(),
            line: input.number(),
            contig: name,
            one_based: start.saturating_add(1),
            reference: "",
            alternate: "",
        };
        match contig {
            None => report.reject(&listed, Rejection::UnknownContig)?,
            Some(_) if start >= u64::from(length) => report.reject(&listed, Rejection::OutsideContig)?,
            Some(_) if end > u64::from(length) => report.clip(&listed)?,
            Some(_) => {}
        }
        if let Some(contig) = contig
            && let Ok(start) = u32::try_from(start)
            && start < length
        {
            regions.push(Region {
                contig,
                start,
                end: u32::try_from(end).map_or(length, |end| end.min(length)),
            });
        }
    }
    contigs.check_any_known(path)?;
    Ok(regions)
}

/// A region as a line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BedLine<'a> {
    /// Name of the contig.
    pub contig: &'a str,
    /// First base, 0-based.
    pub start: u64,
    /// One past the last base, not before the start.
    pub end: u64,
    /// The fourth column, where there is one and it was read.
    pub fourth: Option<&'a str>,
}

impl<'a> BedLine<'a> {
    /// Reads `line` of `input`; `None` for lines that hold no region.
    ///
    /// # Errors
    /// The line is malformed.
    pub fn parse(input: &Input, line: &'a [u8]) -> Result<Option<Self>, InputError> {
        let malformed = |field, value: &[u8], problem| Err(input.malformed(field, value, problem));
        let Ok(text) = std::str::from_utf8(line) else {
            return malformed("text", line, "is not UTF-8");
        };
        let instruction = matches!(text.split(' ').next(), Some("track" | "browser"));
        if text.trim().is_empty() || text.starts_with('#') || instruction {
            return Ok(None);
        }
        // Tabs are the rule, but the format allows blanks, and then no tab stands in the line.
        let fields: Vec<&str> = if text.contains('\t') {
            text.split('\t').collect()
        } else {
            text.split_ascii_whitespace().collect()
        };
        let &[contig, start, end, ref rest @ ..] = fields.as_slice() else {
            return malformed(
                "text",
                line,
                "is not a BED line; expected contig, start and end, separated by tabs",
            );
        };
        let number = |text: &str| {
            let decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if decimal { text.parse::<u64>().ok() } else { None }
        };
        if contig.is_empty() {
            return malformed("contig", contig.as_bytes(), "is empty");
        }
        let Some(first) = number(start) else {
            return malformed("start", start.as_bytes(), "is not a position; expected a whole number from 0");
        };
        let Some(last) = number(end) else {
            return malformed("end", end.as_bytes(), "is not a position; expected a whole number");
        };
        if last < first {
            return malformed("end", end.as_bytes(), "is before the start");
        }
        Ok(Some(Self { contig, start: first, end: last, fourth: rest.first().copied() }))
    }
}

#[cfg(test)]
mod tests {
    use vestore_schema::Contig;

    use super::*;
    use crate::fixture::gzip;

    fn read(text: &[u8]) -> Result<(Vec<[u32; 3]>, Report), PlanError> {
        let contig = |name: &str| Contig { name: name.to_owned(), length: 1000, digest: String::new() };
        let assembly = Assembly { name: None, contigs: vec![contig("1"), contig("2")] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bed");
        std::fs::write(&path, text).unwrap();
        let mut report = Report::new();
        let regions = read_bed(&path, &assembly, &mut report)?;
        Ok((regions.iter().map(|region| [region.contig, region.start, region.end]).collect(), report))
    }

    #[test]
    fn regions_are_half_open_and_other_lines_are_passed_over() {
        let text = b"browser position 1:1-5\ntrack name=x\n#c\n\nchr1\t0\t5\tname\t0\t+\r\n2 7 9\n1\t3\t3\n";
        assert_eq!(read(text).unwrap().0, [[0, 0, 5], [1, 7, 9], [0, 3, 3]]);
        assert_eq!(read(&gzip(text)).unwrap().0.len(), 3);
        assert_eq!(read(b"").unwrap().0, [[0; 3]; 0]);
    }

    #[test]
    fn what_lies_outside_is_cut_or_left_out_and_counted() {
        let (regions, report) = read(b"1\t990\t1010\n2\t1000\t1001\n9\t1\t2\n1\t0\t99999999999\n").unwrap();
        assert_eq!(regions, [[0, 990, 1000], [0, 0, 1000]]);
        assert!(
            report.summary().contains("2 regions clipped at the end of a contig"),
            "{}",
            report.summary()
        );
        assert_eq!(report.rejected(Rejection::OutsideContig), 1);
        assert_eq!(report.rejected(Rejection::UnknownContig), 1);
        assert!(matches!(read(b"9\t1\t2\n"), Err(PlanError::NoKnownContig { .. })));
    }

    #[test]
    fn malformed_lines_are_named() {
        for (line, part) in [
            ("1\t5", "text `1\\t5` is not a BED line"),
            ("1", "is not a BED line"),
            ("1\t-5\t6", "start `-5`"),
            ("1\tx\t6", "start `x`"),
            ("1\t5\t", "end ``"),
            ("1\t5\t4", "end `4` is before the start"),
            ("\t5\t6", "contig ``"),
        ] {
            let error = read(format!("#x\n{line}\n").as_bytes()).expect_err(line).to_string();
            assert!(error.contains("x.bed, line 2: ") && error.contains(part), "{line}: {error}");
        }
    }
}

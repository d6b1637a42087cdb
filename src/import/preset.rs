//! Published sets of scores: what their files look like, and what their numbers mean.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use vestore_schema::Assembly;

use super::{Duplicates, ImportError, ListRule};

/// A published set whose files have one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// CADD's SNVs of the whole genome.
    Cadd,
    /// AlphaMissense, one row for each transcript.
    AlphaMissense,
    /// The variant impact scores of the AlphaGenome Atlas.
    Avi,
    /// SpliceAI's precomputed VCFs.
    SpliceAi,
    /// REVEL, with positions of two assemblies.
    Revel,
    /// dbNSFP; which of its columns is up to the reader.
    Dbnsfp,
}

/// A score column of a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PresetColumn {
    /// Name in the store.
    pub(super) name: &'static str,
    /// Column of the file, or field of its entries.
    pub(super) from: &'static str,
    /// Least and greatest value that the set's definition allows; none where any number is.
    pub(super) range: Option<(f32, f32)>,
}

type Range = Option<(f32, f32)>;
/// Probabilities.
const UNIT: Range = Some((0.0, 1.0));
/// −10 log10 of a rank's share of all SNVs of a genome, of which there are fewer than 10^10.
const PHRED: Range = Some((0.0, 100.0));

const fn column(name: &'static str, range: Range) -> PresetColumn {
    PresetColumn { name, from: name, range }
}

const fn renamed(name: &'static str, from: &'static str, range: Range) -> PresetColumn {
    PresetColumn { name, from, range }
}

/// SpliceAI's scores; the first is the largest of the others. Names are those of splice tracks.
const SPLICEAI: [PresetColumn; 5] = [
    renamed("splice_max", "max(DS)", UNIT),
    renamed("acceptor_gain", "DS_AG", UNIT),
    renamed("acceptor_loss", "DS_AL", UNIT),
    renamed("donor_gain", "DS_DG", UNIT),
    renamed("donor_loss", "DS_DL", UNIT),
];

impl Preset {
    /// Every set.
    pub const ALL: [Self; 6] =
        [Self::Cadd, Self::AlphaMissense, Self::Avi, Self::SpliceAi, Self::Revel, Self::Dbnsfp];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cadd => "cadd",
            Self::AlphaMissense => "alphamissense",
            Self::Avi => "avi",
            Self::SpliceAi => "spliceai",
            Self::Revel => "revel",
            Self::Dbnsfp => "dbnsfp",
        }
    }

    /// What becomes of several scores of one variant. Sets with a row for each transcript keep the largest.
    #[must_use]
    pub fn duplicates(self) -> Duplicates {
        match self {
            // A published file of SpliceAI has a record per gene.
            Self::AlphaMissense | Self::Revel | Self::SpliceAi => Duplicates::Max,
            Self::Cadd | Self::Avi | Self::Dbnsfp => Duplicates::First,
        }
    }

    /// The score columns; none where the reader names them.
    pub(super) fn columns(self) -> &'static [PresetColumn] {
        const CADD: [PresetColumn; 2] = [column("PHRED", PHRED), column("RawScore", None)];
        const ALPHAMISSENSE: [PresetColumn; 1] = [column("am_pathogenicity", UNIT)];
        const AVI: [PresetColumn; 2] = [column("PHRED", PHRED), column("raw", None)];
        const REVEL: [PresetColumn; 1] = [column("REVEL", UNIT)];
        match self {
            Self::Cadd => &CADD,
            Self::AlphaMissense => &ALPHAMISSENSE,
            Self::Avi => &AVI,
            Self::SpliceAi => &SPLICEAI,
            Self::Revel => &REVEL,
            Self::Dbnsfp => &[],
        }
    }

    /// The score column that is read from `from`. High values suggest an effect in each of these.
    pub(super) fn column(self, from: &str) -> Option<&'static PresetColumn> {
        self.columns().iter().find(|column| column.from == from)
    }

    /// All score columns: name in the store, column of the file.
    pub(super) fn chosen(self, path: &Path) -> Result<Vec<(String, String)>, ImportError> {
        if self.columns().is_empty() {
            return Err(ImportError::PresetColumns { path: path.into() });
        }
        Ok(self.columns().iter().map(|column| (column.name.to_owned(), column.from.to_owned())).collect())
    }

    /// Whether `.` stands for a position that a build does not have.
    pub(super) fn skips_missing_positions(self) -> bool {
        self == Self::Revel
    }

    /// The column of the position, where there are several.
    pub(super) fn position(
        self,
        path: &Path,
        assembly: &Assembly,
    ) -> Result<Option<&'static str>, ImportError> {
        if self != Self::Revel {
            return Ok(None);
        }
        let name = assembly.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is = |names: [&str; 2]| names.iter().any(|known| name.starts_with(known));
        if is(["grch38", "hg38"]) {
            Ok(Some("grch38_pos"))
        } else if is(["grch37", "hg19"]) {
            Ok(Some("hg19_pos"))
        } else {
            Err(ImportError::PresetBuild { path: path.into(), assembly: assembly.name.clone() })
        }
    }

    /// An error unless a table has the columns of the set.
    pub(super) fn check_table(self, path: &Path, found: &[String]) -> Result<(), ImportError> {
        let expected: &[&str] = match self {
            Self::Cadd => &["Chrom", "Pos", "Ref", "Alt", "RawScore", "PHRED"],
            Self::AlphaMissense => &[
                "CHROM",
                "POS",
                "REF",
                "ALT",
                "genome",
                "uniprot_id",
                "transcript_id",
                "protein_variant",
                "am_pathogenicity",
                "am_class",
            ],
            Self::Avi => &["chr", "pos", "ref", "alt", "raw", "PHRED"],
            Self::Revel => &[
                "chr",
                "hg19_pos",
                "grch38_pos",
                "ref",
                "alt",
                "aaref",
                "aaalt",
                "REVEL",
                "Ensembl_transcriptid",
            ],
            Self::Dbnsfp => &["chr", "pos(1-based)", "ref", "alt"],
            Self::SpliceAi => {
                return Err(self.other(path, &format!("a table with columns {}", found.join(", "))));
            }
        };
        let more = self == Self::Dbnsfp;
        let fits = found.len() >= expected.len()
            && (more || found.len() == expected.len())
            && expected.iter().zip(found).all(|(expected, found)| expected == found);
        if fits { Ok(()) } else { Err(self.other(path, &format!("columns {}", found.join(", ")))) }
    }

    /// What the set's files have, for messages.
    fn shape(self) -> &'static str {
        match self {
            Self::Cadd => "columns #Chrom, Pos, Ref, Alt, RawScore, PHRED",
            Self::AlphaMissense => {
                "columns #CHROM, POS, REF, ALT, genome, uniprot_id, transcript_id, protein_variant, am_pathogenicity, \
                 am_class"
            }
            Self::Avi => "columns chr, pos, ref, alt, raw, PHRED",
            Self::SpliceAi => "a VCF that declares the INFO field SpliceAI",
            Self::Revel => {
                "columns chr, hg19_pos, grch38_pos, ref, alt, aaref, aaalt, REVEL, Ensembl_transcriptid"
            }
            Self::Dbnsfp => "columns #chr, pos(1-based), ref, alt and more",
        }
    }

    /// The error of a file of another shape.
    pub(super) fn other(self, path: &Path, found: &str) -> ImportError {
        ImportError::Preset {
            path: path.into(),
            preset: self.as_str(),
            expected: self.shape(),
            found: found.to_owned(),
        }
    }
}

/// SpliceAI's INFO field.
pub(super) const SPLICEAI_FIELD: &str = "SpliceAI";

/// Fields of an entry: ALLELE, SYMBOL, four scores, four positions.
const ENTRY: usize = 10;

/// The place of a SpliceAI column among its scores.
pub(super) fn spliceai_place(from: &str) -> Option<usize> {
    SPLICEAI.iter().position(|column| column.from == from)
}

/// The scores of an alternate: the largest of all, then of each kind.
pub(super) type SpliceAiScores = [Option<f32>; SPLICEAI.len()];

/// The scores in the value of a SpliceAI field, by alternate: of each kind the largest over its entries, which are one
/// for each gene. `alternates` is the record's ALT.
///
/// # Errors
/// What is wrong with an entry.
pub(super) fn spliceai_scores<'a>(
    value: &'a [u8],
    alternates: &[u8],
) -> Result<HashMap<&'a [u8], SpliceAiScores>, String> {
    let known: HashSet<&[u8]> = alternates.split(|byte| *byte == b',').collect();
    let mut found: HashMap<&[u8], SpliceAiScores> = HashMap::new();
    for entry in value.split(|byte| *byte == b',').filter(|entry| *entry != b"." && !entry.is_empty()) {
        let fields: Vec<&[u8]> = entry.split(|byte| *byte == b'|').collect();
        if fields.len() != ENTRY {
            return Err(format!("has {} fields; expected {ENTRY}, from ALLELE to DP_DL", fields.len()));
        }
        if !known.contains(fields[0]) {
            return Err("has an allele that is not an alternate of its record".to_owned());
        }
        let scores = found.entry(fields[0]).or_default();
        for (at, field) in fields[2..2 + SPLICEAI.len() - 1].iter().enumerate() {
            let score = super::cell::score(field).ok_or("has a score that is not a number")?;
            for place in [0, at + 1] {
                if !score.is_nan() && scores[place].is_none_or(|known| known < score) {
                    scores[place] = Some(score);
                }
            }
        }
    }
    Ok(found)
}

/// The one value of a cell that lists several, separated by `;`; missing ones do not count.
pub(super) fn of_list(text: &[u8], rule: ListRule) -> Option<f32> {
    let mut chosen: Option<f32> = None;
    for part in text.split(|byte| *byte == b';') {
        let value = super::cell::score(part)?;
        if value.is_nan() {
            continue;
        }
        chosen = Some(match (chosen, rule) {
            (None, _) => value,
            (Some(known), ListRule::First) => known,
            (Some(known), ListRule::Max) => known.max(value),
            (Some(known), ListRule::Min) => known.min(value),
        });
    }
    Some(chosen.unwrap_or(f32::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_other_alternates_do_not_count_and_genes_are_joined() {
        let value =
            b"C|G1|0.10|0.20|0.00|0.03|-4|2|5|.,C|G2|0.50|.|0.01|0.00|1|2|3|4,G|G1|0.9|0.9|0.9|0.9|1|1|1|1";
        let scores = spliceai_scores(value, b"C,G,T").unwrap();
        assert_eq!(scores[b"C".as_slice()], [Some(0.5), Some(0.5), Some(0.2), Some(0.01), Some(0.03)]);
        assert!(scores.len() == 2 && spliceai_scores(b".", b"T").unwrap().is_empty());
        assert!(spliceai_scores(value, b"C,T").unwrap_err().contains("not an alternate"));
        for (value, part) in [(b"C|G1|0.1".as_slice(), "3 fields"), (b"C|G|x|0|0|0|1|1|1|1", "not a number")]
        {
            assert!(spliceai_scores(value, b"C").unwrap_err().contains(part));
        }
    }

    #[test]
    fn lists_have_one_value_by_a_rule() {
        for (text, rule, expected) in [
            ("0.5;.;0.75", ListRule::Max, Some(0.75)),
            ("0.5;.;0.25", ListRule::Min, Some(0.25)),
            (".;0.5;0.75", ListRule::First, Some(0.5)),
            ("0.5", ListRule::Max, Some(0.5)),
            ("0.5;x", ListRule::First, None),
        ] {
            assert_eq!(of_list(text.as_bytes(), rule), expected, "{text}");
        }
        assert!(of_list(b".;.", ListRule::Max).unwrap().is_nan());
    }
}

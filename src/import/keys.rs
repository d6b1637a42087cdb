//! The columns that name a variant.

use std::path::Path;

use super::ImportError;
use super::start::column_place;

/// What the columns of the key are called in the store, and on the left of `--columns`.
const KEYS: [&str; 4] = ["contig", "position", "reference", "alternate"];

/// The names people give them, without regard to case. Positions are 1-based.
const SPELLINGS: [&[&str]; 4] = [
    &["contig", "chrom", "chromosome", "chr", "seqnames"],
    &["position", "pos", "start_position", "bp", "pos(1-based)", "position(1-based)"],
    &["reference", "ref", "reference_allele", "ref_allele"],
    &["alternate", "alt", "alternate_allele", "alt_allele"],
];

/// Place of the position among them.
const POSITION: usize = 1;

/// Names of the columns that name a variant, where they are not left to their usual spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyColumns([Option<String>; 4]);

impl KeyColumns {
    /// Takes the pairs out of `columns` whose first name is one of `contig`, `position`, `reference`, `alternate`.
    ///
    /// # Errors
    /// One of them stands there twice.
    pub fn take(columns: &mut Vec<(String, String)>) -> Result<Self, ImportError> {
        let mut keys = Self::default();
        let mut twice = None;
        columns.retain(|(name, from)| match KEYS.iter().position(|key| key == name) {
            None => true,
            Some(key) => {
                if keys.0[key].replace(from.clone()).is_some() {
                    twice = Some(name.clone());
                }
                false
            }
        });
        match twice {
            Some(name) => Err(ImportError::ColumnName { name }),
            None => Ok(keys),
        }
    }

    /// Names the column of the position, unless that was done.
    pub(super) fn default_position(&mut self, name: Option<&str>) {
        if let (place @ None, Some(name)) = (&mut self.0[POSITION], name) {
            *place = Some(name.to_owned());
        }
    }

    /// Whether the column of the position is named.
    pub(super) fn names_position(&self) -> bool {
        self.0[POSITION].is_some()
    }

    /// Those that have a name, as `position=hg19_pos`.
    #[must_use]
    pub fn named(&self) -> Vec<String> {
        let named = KEYS.iter().zip(&self.0);
        named.filter_map(|(key, name)| Some(format!("{key}={}", name.as_ref()?))).collect()
    }

    /// An error where names are given and the file is a VCF, which has its own.
    pub(super) fn check_vcf(&self, path: &Path) -> Result<(), ImportError> {
        match self.named().into_iter().next() {
            None => Ok(()),
            Some(given) => Err(ImportError::KeyOfVcf { path: path.into(), given }),
        }
    }

    /// Of how many parts of the key one of `names` is a usual spelling.
    pub(super) fn usual_in(names: &[String]) -> usize {
        let known = |usual: &&str| names.iter().any(|name| name.eq_ignore_ascii_case(usual));
        SPELLINGS.iter().filter(|usual| usual.iter().any(known)).count()
    }

    /// Their places among the columns of a file.
    pub(super) fn places(&self, path: &Path, names: &[String]) -> Result<[usize; 4], ImportError> {
        let mut places = [0; 4];
        for (key, place) in places.iter_mut().enumerate() {
            *place = match &self.0[key] {
                Some(name) => column_place(path, names, name)?,
                None => usual(path, names, key)?,
            };
        }
        Ok(places)
    }
}

/// The place of the column of a usual spelling.
fn usual(path: &Path, names: &[String], key: usize) -> Result<usize, ImportError> {
    let found: Vec<usize> = SPELLINGS[key]
        .iter()
        .flat_map(|wanted| (0..names.len()).filter(move |place| names[*place].eq_ignore_ascii_case(wanted)))
        .collect();
    // A file may have both `contig` and `chr`; two positions are of two assemblies.
    match found[..] {
        [place] => Ok(place),
        [place, ..] if key != POSITION => Ok(place),
        _ => {
            let part = KEYS[key].get(..3).unwrap_or_default();
            let alike = |name: &&String| name.to_ascii_lowercase().contains(part);
            let candidates = if found.is_empty() {
                names.iter().filter(alike).cloned().collect()
            } else {
                found.iter().map(|place| names[*place].clone()).collect()
            };
            Err(ImportError::Key {
                path: path.into(),
                key: KEYS[key],
                usual: SPELLINGS[key].iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                candidates,
                known: names.to_vec(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(header: &str, given: &[(&str, &str)]) -> Result<[usize; 4], String> {
        let names: Vec<String> = header.split(' ').map(str::to_owned).collect();
        let mut pairs = given.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
        let keys = KeyColumns::take(&mut pairs).map_err(|error| error.to_string())?;
        keys.places(Path::new("x.tsv"), &names).map_err(|error| error.to_string())
    }

    #[test]
    fn usual_spellings_are_known_and_others_can_be_named() {
        assert_eq!(places("chr pos(1-based) ref alt hg19_pos(1-based)", &[]), Ok([0, 1, 2, 3]));
        assert_eq!(places("contig chr Start_Position REF ALT", &[]), Ok([0, 2, 3, 4]));
        assert_eq!(
            places("chr hg19_pos grch38_pos ref alt", &[("position", "grch38_pos")]),
            Ok([0, 2, 3, 4])
        );
        let given = [("contig", "a"), ("position", "b"), ("reference", "c"), ("alternate", "d")];
        assert_eq!(places("d c b a", &given), Ok([3, 2, 1, 0]));
    }

    #[test]
    fn what_could_be_either_is_refused_with_the_remedy() {
        let error = places("chr hg19_pos grch38_pos ref alt", &[]).unwrap_err();
        assert!(
            error.contains("`hg19_pos`, `grch38_pos`") && error.contains("--columns position=NAME"),
            "{error}"
        );
        let error = places("chr pos bp ref alt", &[]).unwrap_err();
        assert!(
            error.contains("more than one column could be the position") && error.contains("`pos`, `bp`"),
            "{error}"
        );
        assert!(error.contains("--columns position=NAME"), "{error}");
        let error = places("chr pos ref alt", &[("position", "x")]).unwrap_err();
        assert!(error.contains("no column `x`"), "{error}");
        assert!(places("a b c d", &[("position", "b"), ("position", "b")]).is_err());
        let error = places("chr x x ref alt", &[("position", "x")]).unwrap_err();
        assert!(error.contains("twice"), "{error}");
    }
}

//! Values of INFO fields, one for each alternate allele, as the header declares them.

use std::path::Path;

use memchr::memchr;

use super::ImportError;
use crate::reference::printable;
use crate::variants::{InfoNumber, VariantHeader};

/// A field that is read.
pub(super) struct InfoColumn {
    pub(super) id: String,
    number: InfoNumber,
}

/// The values of a record.
pub(super) enum InfoValues<'a> {
    /// The field is not there.
    Missing,
    /// The field is there and has no value.
    Flag,
    /// All alternates share it.
    Shared(&'a [u8]),
    /// One for each alternate.
    Each(Vec<&'a [u8]>),
}

impl<'a> InfoValues<'a> {
    /// What a cell of a table says: a value for each alternate where it lists as many, else one for all.
    pub(super) fn listed(cell: &'a [u8], alternates: usize) -> Self {
        if alternates > 1 && memchr::memchr_iter(b',', cell).count() + 1 == alternates {
            return Self::Each(cell.split(|byte| *byte == b',').collect());
        }
        Self::Shared(cell)
    }

    /// The value of an alternate, by its 0-based place; empty where there is none.
    pub(super) fn of(&self, alternate: usize) -> &'a [u8] {
        match self {
            Self::Missing | Self::Flag => b"",
            Self::Shared(value) => value,
            Self::Each(values) => values[alternate],
        }
    }
}

impl InfoColumn {
    /// The field `id`, declared or not. Values for each genotype are no values of an allele.
    pub(super) fn new(path: &Path, id: &str, header: &VariantHeader) -> Result<Self, ImportError> {
        let number = header.info(id).map_or(InfoNumber::Unknown, |info| info.number);
        let values = match number {
            InfoNumber::PerGenotype => "one value for each genotype".to_owned(),
            InfoNumber::Count(count @ 2..) => format!("{count} values for the record"),
            _ => return Ok(Self { id: id.to_owned(), number }),
        };
        Err(ImportError::InfoNumber { path: path.into(), id: id.to_owned(), values })
    }

    /// The values in `info` of a record with this many alternates. Several values of a field that is not declared to
    /// have one for each allele are shared as they stand, unless they are as many as the alternates.
    pub(super) fn values<'a>(
        &self,
        path: &Path,
        line: u64,
        info: &'a [u8],
        alternates: usize,
    ) -> Result<InfoValues<'a>, ImportError> {
        let (found, rest) = find(info, self.id.as_bytes());
        let again = find(rest, self.id.as_bytes()).0;
        if !matches!(again, InfoValues::Missing) {
            let [first, second] = [found, again].map(|values| printable(values.of(0)));
            let (path, id) = (path.into(), self.id.clone());
            return Err(ImportError::InfoTwice { path, line, id, first, second });
        }
        let InfoValues::Shared(text) = found else { return Ok(found) };
        let single = memchr(b',', text).is_none();
        if text == b"." || single && !matches!(self.number, InfoNumber::PerAlternate | InfoNumber::PerAllele)
        {
            return Ok(InfoValues::Shared(text));
        }
        if single && alternates == 1 && self.number == InfoNumber::PerAlternate {
            return Ok(InfoValues::Shared(text));
        }
        let mut values: Vec<&[u8]> = text.split(|byte| *byte == b',').collect();
        let expected = match self.number {
            InfoNumber::PerAlternate => alternates,
            InfoNumber::PerAllele => alternates + 1,
            InfoNumber::Count(1) => 1,
            _ if values.len() == alternates => alternates,
            _ => return Ok(InfoValues::Shared(text)),
        };
        if values.len() != expected {
            return Err(ImportError::InfoCount {
                path: path.into(),
                line,
                id: self.id.clone(),
                found: values.len(),
                expected,
            });
        }
        if self.number == InfoNumber::PerAllele {
            // The first is the reference allele's.
            values.remove(0);
        }
        Ok(InfoValues::Each(values))
    }
}

/// The whole text of the field `id`; empty where it is missing.
pub(super) fn field<'a>(info: &'a [u8], id: &str) -> &'a [u8] {
    find(info, id.as_bytes()).0.of(0)
}

/// The whole text of a field, and what stands behind it.
fn find<'a>(info: &'a [u8], id: &[u8]) -> (InfoValues<'a>, &'a [u8]) {
    let mut rest = info;
    loop {
        let end = memchr(b';', rest).unwrap_or(rest.len());
        let more = rest.get(end + 1..);
        if let Some(value) = rest[..end].strip_prefix(id) {
            match value.split_first() {
                None => return (InfoValues::Flag, more.unwrap_or_default()),
                Some((b'=', value)) => return (InfoValues::Shared(value), more.unwrap_or_default()),
                Some(_) => {}
            }
        }
        let Some(more) = more else { return (InfoValues::Missing, b"") };
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(number: &str, info: &str, alternates: usize) -> Result<Vec<String>, String> {
        let header = VariantHeader::parse(&format!("##INFO=<ID=X,Number={number},Type=Float>"));
        let path = Path::new("x.vcf");
        let column = InfoColumn::new(path, "X", &header).map_err(|error| error.to_string())?;
        let values =
            column.values(path, 7, info.as_bytes(), alternates).map_err(|error| error.to_string())?;
        Ok((0..alternates).map(|at| String::from_utf8_lossy(values.of(at)).into_owned()).collect())
    }

    #[test]
    fn each_alternate_has_its_own_value() {
        let of = |number, info, alternates| values(number, info, alternates).unwrap();
        assert_eq!(of("A", "XX=1;X=5,7", 2), ["5", "7"]);
        assert_eq!(of("R", "X=100,5,7;Y", 2), ["5", "7"]);
        assert_eq!(of("R", "X=100,5", 1), ["5"]);
        assert_eq!(of("R", "X=.", 2), [".", "."]);
        assert_eq!(of("A", "X=.,7", 2), [".", "7"]);
        assert_eq!(of("1", "X=5", 3), ["5", "5", "5"]);
        assert_eq!(of(".", "X=5,6", 2), ["5", "6"]);
        assert_eq!(of(".", "X=a,b", 1), ["a,b"]);
        assert_eq!(of("A", "Y=1", 2), ["", ""]);
        assert_eq!(of("0", "Y;X", 1), [""]);
    }

    #[test]
    fn a_number_that_contradicts_the_alleles_is_an_error() {
        for (number, info, part) in [
            ("A", "X=5", "line 7: INFO field `X` has 1 value; expected 2"),
            ("A", "X=5,6,7", "has 3 values; expected 2"),
            ("R", "X=5,6", "has 2 values; expected 3"),
            ("G", "X=1,2,3", "INFO field `X` has one value for each genotype"),
            ("2", "X=1,2", "has 2 values for the record"),
            ("1", "X=7,8", "line 7: INFO field `X` has 2 values; expected 1, as"),
            ("A", "X=1,2;Y;X=3,4", "line 7: INFO field `X` is given twice: `1,2` and `3,4`"),
            ("1", "X=1;X=1", "INFO field `X` is given twice"),
        ] {
            let error = values(number, info, 2).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}

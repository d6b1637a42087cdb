//! Header lines of VCF and BCF: `##KEY=<ID=…,…>`, whatever the order of their keys and however their values
//! are quoted.

use std::borrow::Cow;
use std::collections::HashMap;

/// One structured line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderLine<'a> {
    /// `INFO`, `contig`, …
    pub(crate) kind: &'a str,
    fields: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> HeaderLine<'a> {
    /// Reads a line without its end; `None` for one that is not `##KEY=<…`. A line that is cut off has the fields
    /// before the cut.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let (kind, body) = line.strip_prefix("##")?.split_once("=<")?;
        if kind.contains(['=', '<', '"']) {
            return None;
        }
        let (mut fields, mut rest) = (Vec::new(), body);
        while let Some((name, value)) = rest.split_once('=') {
            let (value, after) = take_value(value);
            fields.push((name.trim(), value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        Some(Self { kind, fields })
    }

    /// The value of a key, without its quotes and escapes.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_ref())
    }

    /// Its number in the dictionaries of BCF, where it is stated.
    pub(crate) fn index(&self) -> Option<u32> {
        u32::try_from(self.get("IDX")?.parse::<i32>().ok()?).ok()
    }
}

/// Takes a value off the front of `text`: quoted with `\` as escape, or up to the next comma or the closing `>`.
fn take_value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // A list of values (`[a,b]`) has commas of its own.
        let list = text.starts_with('[').then(|| text.find(']')).flatten().unwrap_or(0);
        let end = text[list..].find([',', '>']).map_or(text.len(), |end| list + end);
        return (text[..end].trim().into(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            '"' if !escaped => {
                let whole = if value.len() == at { quoted[..at].into() } else { value.into() };
                return (whole, quoted[at + 1..].trim_start());
            }
            '\\' if !escaped => escaped = true,
            _ => {
                if escaped && !matches!(letter, '"' | '\\') {
                    value.push('\\');
                }
                value.push(letter);
                escaped = false;
            }
        }
    }
    (value.into(), "")
}

/// How many values an INFO field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InfoNumber {
    /// This many for the record; none for a flag.
    Count(u32),
    /// `A`: one for each alternate allele.
    PerAlternate,
    /// `R`: one for each allele, the reference allele first.
    PerAllele,
    /// `G`: one for each genotype.
    PerGenotype,
    /// `.`, or not declared.
    Unknown,
}

impl InfoNumber {
    fn parse(text: &str) -> Self {
        match text {
            "A" => Self::PerAlternate,
            "R" => Self::PerAllele,
            "G" => Self::PerGenotype,
            _ => text.parse().map_or(Self::Unknown, Self::Count),
        }
    }
}

/// A declared INFO field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderInfo {
    pub(crate) id: String,
    pub(crate) number: InfoNumber,
    /// Whether its values are numbers: of type `Float` or `Integer`.
    pub(crate) numeric: bool,
}

/// A declared contig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderContig {
    pub(crate) name: String,
    /// In bases.
    pub(crate) length: Option<u64>,
    /// MD5 of its upper-case bases, as hexadecimal digits.
    pub(crate) md5: Option<String>,
    pub(crate) assembly: Option<String>,
}

/// What a header declares. Of two lines with the same id the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct VariantHeader {
    pub(crate) infos: Vec<HeaderInfo>,
    /// Where in `infos` an id is.
    info_places: HashMap<String, usize>,
    pub(crate) contigs: Vec<HeaderContig>,
    /// Ids of FILTER, INFO and FORMAT.
    strings: Dictionary,
    contig_numbers: Dictionary,
    /// Names of contigs by number.
    contig_names: HashMap<u32, String>,
}

impl VariantHeader {
    /// Reads the lines of a whole header.
    pub(crate) fn parse(text: &str) -> Self {
        let mut header = Self::default();
        text.lines().for_each(|line| header.add(line));
        header
    }

    /// Takes one more line; lines without structure are passed over.
    pub(crate) fn add(&mut self, line: &str) {
        let Some(line) = HeaderLine::parse(line) else { return };
        let Some(id) = line.get("ID") else { return };
        match line.kind {
            "FILTER" | "INFO" | "FORMAT" => {
                if line.kind == "INFO" && !self.info_places.contains_key(id) {
                    self.info_places.insert(id.to_owned(), self.infos.len());
                    self.infos.push(HeaderInfo {
                        id: id.to_owned(),
                        number: line.get("Number").map_or(InfoNumber::Unknown, InfoNumber::parse),
                        numeric: matches!(line.get("Type"), Some("Float" | "Integer")),
                    });
                }
                // PASS is number 0 whether it is declared or not.
                self.strings.number("PASS", None);
                self.strings.number(id, line.index());
            }
            "contig" => {
                let number = self.contig_numbers.number(id, line.index());
                if self.contig_names.insert(number, id.to_owned()).is_none() {
                    self.contigs.push(HeaderContig {
                        name: id.to_owned(),
                        length: line.get("length").and_then(|text| text.parse().ok()),
                        md5: line.get("md5").or(line.get("M5")).map(str::to_owned),
                        assembly: line.get("assembly").map(str::to_owned),
                    });
                }
            }
            _ => {}
        }
    }

    /// The INFO field of this id.
    pub(crate) fn info(&self, id: &str) -> Option<&HeaderInfo> {
        self.info_places.get(id).map(|place| &self.infos[*place])
    }

    /// The contig that records of BCF call `number`.
    pub(crate) fn contig_name(&self, number: i32) -> Option<&str> {
        self.contig_names.get(&u32::try_from(number).ok()?).map(String::as_str)
    }

    /// The number that records of BCF have for a FILTER, INFO or FORMAT id, which becomes one of them.
    pub(crate) fn string_number(&mut self, id: &str) -> u32 {
        self.strings.number("PASS", None);
        self.strings.number(id, None)
    }

    /// Whether a FILTER, INFO or FORMAT has this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.strings.numbers.contains_key(id)
    }

    /// Whether lines state their numbers (`IDX`).
    pub(crate) fn is_numbered(&self) -> bool {
        self.strings.stated || self.contig_numbers.stated
    }
}

/// Ids and their numbers in BCF: `IDX` where it is stated, else the next.
#[derive(Clone, Debug, Default)]
struct Dictionary {
    numbers: HashMap<String, u32>,
    next: u32,
    stated: bool,
}

impl Dictionary {
    fn number(&mut self, id: &str, stated: Option<u32>) -> u32 {
        self.stated |= stated.is_some();
        if stated.is_none()
            && let Some(known) = self.numbers.get(id)
        {
            return *known;
        }
        let number = stated.unwrap_or(self.next);
        self.numbers.insert(id.to_owned(), number);
        self.next = self.next.max(number.saturating_add(1));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_whatever_their_order_and_quotes() {
        let line = r#"##INFO=<Number=R,Type=Integer,Description="a, \"b\" \\ \x,ID=no,IDX=9>",ID=AD,IDX=4>"#;
        let line = HeaderLine::parse(line).unwrap();
        assert_eq!((line.kind, line.get("ID"), line.get("Number")), ("INFO", Some("AD"), Some("R")));
        assert_eq!(line.get("Description"), Some(r#"a, "b" \ \x,ID=no,IDX=9>"#));
        assert_eq!(line.index(), Some(4));
        let line = HeaderLine::parse("##META=<ID=Tissue,Values=[a, b=1,c],Number=., X = y >").unwrap();
        assert_eq!(
            (line.get("Values"), line.get("Number"), line.get("X")),
            (Some("[a, b=1,c]"), Some("."), Some("y"))
        );
        for plain in ["##fileformat=VCFv4.2", "##x=a=<ID=b>", "#CHROM\tPOS", "", "##cmd=\"a=<b\""] {
            assert_eq!(HeaderLine::parse(plain), None, "{plain}");
        }
    }

    #[test]
    fn broken_lines_have_what_stands_before_the_break() {
        for broken in
            ["##INFO=<ID=x", "##INFO=<ID=x,", "##INFO=<ID=x,Description=\"no end", "##INFO=<ID=x>rest,ID=y"]
        {
            assert_eq!(HeaderLine::parse(broken).unwrap().get("ID"), Some("x"), "{broken}");
        }
        assert_eq!(HeaderLine::parse("##INFO=<").unwrap().get("ID"), None);
        assert_eq!(HeaderLine::parse("##INFO=<=\"é\\").unwrap().get(""), Some("é"));
    }

    #[test]
    fn fields_and_contigs_are_declared_once() {
        let header = VariantHeader::parse(
            "##INFO=<ID=AF,Number=A,Type=Float>\n##INFO=<ID=AF,Number=1,Type=String>\n##INFO=<ID=DB,Number=0,Type=Flag>\n\
             ##INFO=<ID=PL,Number=G,Type=Integer>\n##INFO=<ID=X,Number=.,Type=String>\n\
             ##contig=<ID=2,length=500,assembly=b37,md5=abc,note=\"length=1\">\n##contig=<length=9,ID=HLA-A*01:01>\n",
        );
        let number = |id: &str| header.info(id).unwrap().number;
        assert_eq!(number("AF"), InfoNumber::PerAlternate);
        assert_eq!(
            (number("DB"), number("PL"), number("X")),
            (InfoNumber::Count(0), InfoNumber::PerGenotype, InfoNumber::Unknown)
        );
        assert!(header.info("AF").unwrap().numeric && !header.info("X").unwrap().numeric);
        assert_eq!(header.contigs[0].length, Some(500));
        assert_eq!(
            (header.contigs[0].md5.as_deref(), header.contigs[0].assembly.as_deref()),
            (Some("abc"), Some("b37"))
        );
        assert_eq!((header.contigs[1].name.as_str(), header.contigs[1].length), ("HLA-A*01:01", Some(9)));
    }

    #[test]
    fn numbers_of_bcf_follow_idx_else_the_order() {
        let mut header = VariantHeader::parse(
            "##FILTER=<ID=q10>\n##INFO=<ID=DP>\n##FORMAT=<ID=DP>\n##contig=<ID=a,note=\"x,IDX=0,y\">\n##contig=<ID=b>\n",
        );
        assert!(!header.is_numbered());
        assert_eq!(
            (header.contig_name(0), header.contig_name(1), header.contig_name(-1)),
            (Some("a"), Some("b"), None)
        );
        assert_eq!(
            (header.string_number("PASS"), header.string_number("DP"), header.string_number("new")),
            (0, 2, 3)
        );
        let mut header = VariantHeader::parse(
            "##FILTER=<ID=PASS,IDX=0>\n##INFO=<ID=DP,IDX=7>\n##contig=<ID=a,IDX=5>\n##contig=<ID=b>\n",
        );
        assert!(header.is_numbered() && header.knows("DP") && !header.knows("new"));
        assert_eq!((header.contig_name(5), header.contig_name(6)), (Some("a"), Some("b")));
        assert_eq!((header.string_number("DP"), header.string_number("new")), (7, 8));
        // Records hold signed numbers.
        let mut header = VariantHeader::parse("##INFO=<ID=x,IDX=2147483648>\n##INFO=<ID=y,IDX=-1>\n");
        assert_eq!(header.string_number("new"), 3);
    }
}

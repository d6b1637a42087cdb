//! What a file is to be, told from its name.

use crate::output::is_compressed;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A form of rows or records in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Columns separated by tabs.
    Tsv,
    /// Columns separated by commas, quoted as RFC 4180 says.
    Csv,
    /// A JSON array.
    Json,
    /// Arrow IPC.
    Arrow,
    /// Parquet.
    Parquet,
    /// VCF.
    Vcf,
    /// BCF.
    Bcf,
    /// bedGraph.
    Bedgraph,
    /// bigWig.
    Bigwig,
    /// bigBed.
    Bigbed,
    /// A spreadsheet.
    Xlsx,
}

impl FileFormat {
    const ENDINGS: [(&'static str, Self); 18] = [
        ("tsv", Self::Tsv),
        ("tab", Self::Tsv),
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("arrow", Self::Arrow),
        ("feather", Self::Arrow),
        ("parquet", Self::Parquet),
        ("pq", Self::Parquet),
        ("vcf", Self::Vcf),
        ("bcf", Self::Bcf),
        ("bedgraph", Self::Bedgraph),
        ("bdg", Self::Bedgraph),
        ("bg", Self::Bedgraph),
        ("bigwig", Self::Bigwig),
        ("bw", Self::Bigwig),
        ("bigbed", Self::Bigbed),
        ("bb", Self::Bigbed),
        ("xlsx", Self::Xlsx),
    ];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Vcf => "vcf",
            Self::Bcf => "bcf",
            Self::Bedgraph => "bedgraph",
            Self::Bigwig => "bigwig",
            Self::Bigbed => "bigbed",
            Self::Xlsx => "xlsx",
        }
    }

    /// Whether it is lines of text, which compression makes smaller; the others compress themselves.
    fn is_text(self) -> bool {
        matches!(self, Self::Tsv | Self::Csv | Self::Json | Self::Vcf | Self::Bedgraph)
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the name of a file promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileForm {
    /// Its format; `None` for an ending that names none, and for `-`.
    pub format: Option<FileFormat>,
    /// Whether it is BGZF: text whose name ends in `.gz`, `.bgz` or `.bgzf`.
    pub compressed: bool,
}

/// Why a file of this name is not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    /// A compression that is not written.
    #[error(
        "cannot write `.{ending}` files: {}; expected `.gz` (BGZF) or no compression; or write to `-` and pipe that \
         into `{command}`",
        path.display()
    )]
    Compression {
        /// The file.
        path: PathBuf,
        /// The end of its name.
        ending: String,
        /// What compresses so.
        command: &'static str,
    },
    /// Compression of a format that compresses itself.
    #[error("{format} files are compressed already: {}; leave out the last extension", path.display())]
    Binary {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: FileFormat,
    },
    /// An ending that names no format, where the name alone decides.
    #[error(
        "the name of {} ends in no known extension; expected {} (text may add .gz), or choose a format with --format",
        path.display(), expected.join(", ")
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The endings that would do.
        expected: Vec<String>,
    },
    /// The name says one format and the command line another.
    #[error(
        "the name of {} says {named}, but --format is {asked}; leave one out, or make them agree",
        path.display()
    )]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What its name says.
        named: FileFormat,
        /// What was asked for.
        asked: String,
    },
}

impl FormError {
    /// No format of `wanted` is named like `path`.
    #[must_use]
    pub fn unknown(path: &Path, wanted: impl Fn(FileFormat) -> bool) -> Self {
        let endings = FileFormat::ENDINGS.into_iter().filter(|(_, format)| wanted(*format));
        Self::Unknown {
            path: path.into(),
            expected: endings.map(|(ending, _)| format!(".{ending}")).collect(),
        }
    }
}

impl FileForm {
    /// What the name `path` promises, in any case of its letters.
    ///
    /// # Errors
    /// It promises a compression that is not written.
    pub fn of(path: &Path) -> Result<Self, FormError> {
        let name =
            path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let mut endings = name.rsplit('.');
        let mut last = endings.next().unwrap_or_default();
        let foreign = [
            ("zst", "zstd"),
            ("zstd", "zstd"),
            ("xz", "xz"),
            ("bz2", "bzip2"),
            ("lz4", "lz4"),
            ("lz", "lzip"),
            ("br", "brotli"),
            ("z", "compress"),
            ("zip", "zip"),
            ("7z", "7z"),
        ];
        // A name without a dot is not an ending.
        let ends = last.len() < name.len();
        if let Some((ending, command)) = foreign.into_iter().find(|(ending, _)| ends && *ending == last) {
            return Err(FormError::Compression { path: path.into(), ending: ending.to_owned(), command });
        }
        let compressed = ends && is_compressed(last);
        if compressed {
            last = endings.next().unwrap_or_default();
        }
        let format = FileFormat::ENDINGS.into_iter().find(|(ending, _)| ends && *ending == last);
        let format = format.map(|(_, format)| format);
        match format {
            Some(format) if compressed && !format.is_text() => {
                Err(FormError::Binary { path: path.into(), format })
            }
            _ => Ok(Self { format, compressed }),
        }
    }

    /// As [`FileForm::of`], for a file that is to be of the format `asked`: the form has a format then. An ending that
    /// names no format agrees with any.
    ///
    /// # Errors
    /// As for [`FileForm::of`], also when the name says another format.
    pub fn with_format(path: &Path, asked: FileFormat) -> Result<Self, FormError> {
        let form = Self::of(path)?;
        match form.format {
            Some(named) if named != asked => {
                Err(FormError::Contradiction { path: path.into(), named, asked: asked.to_string() })
            }
            _ if form.compressed && !asked.is_text() => {
                Err(FormError::Binary { path: path.into(), format: asked })
            }
            _ => Ok(Self { format: Some(asked), ..form }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_format_and_compression() {
        for (name, format, compressed) in [
            ("a.vcf", Some(FileFormat::Vcf), false),
            ("a.VCF.GZ", Some(FileFormat::Vcf), true),
            ("x/a.b.vcf.bgz", Some(FileFormat::Vcf), true),
            ("a.tsv.gz", Some(FileFormat::Tsv), true),
            ("a.csv", Some(FileFormat::Csv), false),
            ("a.json.bgzf", Some(FileFormat::Json), true),
            ("a.bedGraph.gz", Some(FileFormat::Bedgraph), true),
            ("a.bw", Some(FileFormat::Bigwig), false),
            ("a.txt", None, false),
            ("a.txt.gz", None, true),
            ("a.gz", None, true),
            ("tsv", None, false),
            ("gz", None, false),
            ("xz", None, false),
            ("-", None, false),
            ("x.parquet/", Some(FileFormat::Parquet), false),
        ] {
            assert_eq!(FileForm::of(Path::new(name)).unwrap(), FileForm { format, compressed }, "{name}");
        }
    }

    #[test]
    fn promises_that_cannot_be_kept_are_refused() {
        let error = |name: &str| FileForm::of(Path::new(name)).expect_err(name).to_string();
        assert!(
            error("a.tsv.zst").contains("cannot write `.zst` files: a.tsv.zst"),
            "{}",
            error("a.tsv.zst")
        );
        assert!(error("a.xz").contains("pipe that into `xz`"));
        assert!(error("a.tsv.bz2").contains("bzip2"));
        assert_eq!(
            error("a.parquet.gz"),
            "parquet files are compressed already: a.parquet.gz; leave out the last extension"
        );
        assert!(error("a.bcf.gz").contains("bcf files"));
    }

    #[test]
    fn a_format_that_contradicts_the_name_is_refused() {
        let form = |name: &str, asked| FileForm::with_format(Path::new(name), asked);
        assert_eq!(form("a.txt.gz", FileFormat::Csv).unwrap().format, Some(FileFormat::Csv));
        assert_eq!(form("a.csv", FileFormat::Csv).unwrap().format, Some(FileFormat::Csv));
        let error = form("a.vcf", FileFormat::Tsv).unwrap_err().to_string();
        assert!(error.contains("the name of a.vcf says vcf, but --format is tsv"), "{error}");
        assert!(form("a.gz", FileFormat::Parquet).unwrap_err().to_string().contains("compressed already"));
    }
}

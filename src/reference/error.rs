//! Why a FASTA cannot serve as the reference.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What to do about a reference that is not the store's.
const REMEDY: &str = "name the FASTA that the store was made with: `vestore reference set STORE FILE`, or \
                      `--reference FILE` for one command";

/// Why a FASTA cannot serve as the reference, or not for this request.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The file cannot be opened.
    #[error("cannot open reference {}", path.display())]
    Open {
        /// The FASTA.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pipe, a directory or a device, which cannot be sought.
    #[error("reference {} is not a regular file; copy it to one", path.display())]
    NoFile {
        /// The FASTA.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("cannot read {}; if it is compressed, test it with `gzip -t` and copy it again", path.display())]
    Read {
        /// The FASTA or its index.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A BGZF file ends within a block or without its end block.
    #[error("{} is truncated; copy it again from where it is whole", path.display())]
    Truncated {
        /// The FASTA.
        path: PathBuf,
    },
    /// A stream of bases cannot be read.
    #[error(transparent)]
    Input(#[from] crate::variants::InputError),
    /// Plain gzip cannot be sought.
    #[error(
        "reference {path} is gzip but not BGZF, so it cannot be read at a position; \
         run `gunzip -c {path} | bgzip > {}` and use that",
        bgzf_name(path),
        path = path.display()
    )]
    PlainGzip {
        /// The FASTA.
        path: PathBuf,
    },
    /// Compressed or encoded in a way that is not read.
    #[error(
        "reference {path} is {name}, so it cannot be read at a position; convert it to a plain or `bgzip`ped FASTA",
        path = path.display()
    )]
    Foreign {
        /// The FASTA.
        path: PathBuf,
        /// What it is.
        name: &'static str,
    },
    /// There is no header line where one must be.
    #[error("{} is not a FASTA file: it begins with `{found}`; expected a line `>name`", path.display())]
    NotFasta {
        /// The file.
        path: PathBuf,
        /// What is there instead; empty for an empty file.
        found: String,
    },
    /// A header without a name, or with one that is not UTF-8.
    #[error(
        "{}, line {line}: header `{header}` names no contig; write `>name`, without control characters",
        path.display()
    )]
    BadName {
        /// The FASTA.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The header line.
        header: String,
    },
    /// A header line of more than 64 KiB.
    #[error("{}, line {line}: the header is longer than 64 KiB; shorten it", path.display())]
    LongHeader {
        /// The FASTA.
        path: PathBuf,
        /// 1-based.
        line: u64,
    },
    /// Two contigs of one name.
    #[error("{}, line {line}: contig `{contig}` appears twice; rename or remove one", path.display())]
    DuplicateName {
        /// The FASTA.
        path: PathBuf,
        /// 1-based line of the second.
        line: u64,
        /// The name.
        contig: String,
    },
    /// A contig without bases.
    #[error("{}: contig `{contig}` is empty; remove its header, or, if the file has carriage returns alone for line ends, run \
         `tr '\\r' '\\n' < X > Y`", path.display())]
    EmptyContig {
        /// The FASTA.
        path: PathBuf,
        /// Its name.
        contig: String,
    },
    /// A contig of more bases than positions can count.
    #[error("{}: contig `{contig}` has {length} bases, more than 4294967295; split it", path.display())]
    LongContig {
        /// The FASTA.
        path: PathBuf,
        /// Its name.
        contig: String,
        /// Its length in bases.
        length: u64,
    },
    /// A line within a contig that differs in length from the first, so that positions cannot be
    /// found by counting.
    #[error(
        "{}, line {line}: lines of contig `{contig}` differ in length; rewrap it, for example with \
         `seqkit seq -w 60`",
        path.display()
    )]
    UnevenLines {
        /// The FASTA.
        path: PathBuf,
        /// 1-based line where it shows.
        line: u64,
        /// The contig.
        contig: String,
    },
    /// A character that stands for no base.
    #[error(
        "{}, line {line}: `{found}` is not a base; expected IUPAC letters (ACGTN and \
         URYSWKMBDHV)",
        path.display()
    )]
    InvalidBase {
        /// The FASTA.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The character.
        found: String,
    },
    /// The bases read are not those that were indexed.
    #[error("reference {} has changed since it was opened; run the command again", path.display())]
    Changed {
        /// The FASTA.
        path: PathBuf,
    },
    /// A region that reaches beyond its contig.
    #[error("bases {start}..{end} of `{contig}` were asked of {}, which has {length}", path.display())]
    OutsideContig {
        /// The FASTA.
        path: PathBuf,
        /// The contig.
        contig: String,
        /// 0-based first base.
        start: u32,
        /// 0-based, one past the last base.
        end: u32,
        /// Length of the contig in bases.
        length: u32,
    },
    /// A contig index of another assembly.
    #[error("contig number {contig} was asked of {}, which has {contigs} contigs", path.display())]
    NoSuchContig {
        /// The FASTA.
        path: PathBuf,
        /// The 0-based index.
        contig: u32,
        /// How many there are.
        contigs: usize,
    },
    /// The FASTA of a store is not where the store says.
    #[error("the reference of this store is missing: {}; {REMEDY}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A published store comes without its reference, or on a server.
    #[error("{}", unpublished(path))]
    Unpublished {
        /// Where it is; empty where it was not published.
        path: PathBuf,
    },
    /// What a store names as its reference is not a FASTA. Its content is not shown: the store may be a
    /// stranger's, and the file another one's.
    #[error("{}, which this store names as its reference, is not a FASTA; {REMEDY}", path.display())]
    NotTheReference {
        /// The file.
        path: PathBuf,
    },
    /// A contig of the right name and length with other bases.
    #[error(
        "contig `{contig}` of reference {} is not that of the store: its digest is {found}, the store has \
         {wanted}; {REMEDY}",
        path.display()
    )]
    OtherBases {
        /// The FASTA.
        path: PathBuf,
        /// Name of the contig.
        contig: String,
        /// Refget digest of its bases.
        found: String,
        /// Refget digest in the store.
        wanted: String,
    },
    /// The FASTA is not that of the store.
    #[error(
        "reference {} has {found} where the store has {wanted}; {REMEDY}",
        path.display()
    )]
    OtherAssembly {
        /// The FASTA.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What the store has there.
        wanted: String,
    },
}

/// What a published store lacks.
fn unpublished(path: &Path) -> String {
    let place = path.display();
    if path.as_os_str().is_empty() {
        "this published store has no reference; name its FASTA with `--reference FILE`".to_owned()
    } else {
        format!(
            "the reference of a store is not read over the network; download {place} with its .fai and .gzi, then name \
             it with `--reference FILE`"
        )
    }
}

impl ReferenceError {
    /// The error of the file that a store names, of which nothing is shown but its path.
    pub(crate) fn of_store(self) -> Self {
        match self {
            Self::Open { path, source } if source.kind() == io::ErrorKind::NotFound => Self::Missing { path },
            Self::NotFasta { path, .. }
            | Self::BadName { path, .. }
            | Self::DuplicateName { path, .. }
            | Self::InvalidBase { path, .. } => Self::NotTheReference { path },
            other => other,
        }
    }

    /// A failed read of `path`.
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            Self::Truncated { path: path.into() }
        } else {
            Self::Read { path: path.into(), source }
        }
    }
}

/// A name for the BGZF form of a gzip file: `x.fa.gz` becomes `x.bgzf.fa.gz`.
fn bgzf_name(path: &Path) -> String {
    let text = path.display().to_string();
    let stem = text.strip_suffix(".gz").unwrap_or(&text);
    match stem.rsplit_once('.') {
        Some((stem, ending)) if !ending.contains('/') => format!("{stem}.bgzf.{ending}.gz"),
        _ => format!("{stem}.bgzf.gz"),
    }
}

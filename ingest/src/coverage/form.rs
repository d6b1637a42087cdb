//! In which form a file holds coverage.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::bigwig::MAGIC;
use super::error::CoverageError;

/// First bytes of a bigBed, as little-endian machines write it.
const BIG_BED: u32 = 0x8789_f2eb;
const HDF5: &[u8] = b"\x89HDF";

/// A form of coverage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Values by interval, with an index.
    BigWig,
    /// Intervals, whose bases count 1.
    Bed,
    /// Intervals with a value.
    BedGraph,
}

impl Form {
    /// Its word in an identity.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BigWig => "bigwig",
            Self::Bed => "bed",
            Self::BedGraph => "bedgraph",
        }
    }

    /// The form of a plain file: bigWig by its first bytes, text by its name.
    pub(super) fn of(file: &Path) -> Result<Self, CoverageError> {
        let io = |source| CoverageError::Io { file: file.to_owned(), source };
        let not = |found| Err(CoverageError::Form { file: file.to_owned(), found });
        let mut head = Vec::with_capacity(4);
        File::open(file).map_err(io)?.take(4).read_to_end(&mut head).map_err(io)?;
        if let Ok(bytes) = <[u8; 4]>::try_from(head.as_slice()) {
            match u32::from_le_bytes(bytes) {
                MAGIC => return Ok(Self::BigWig),
                magic if magic.swap_bytes() == MAGIC => {
                    return not("it is a bigWig in big-endian byte order");
                }
                magic if magic == BIG_BED || magic.swap_bytes() == BIG_BED => return not("it is a bigBed"),
                _ if head == HDF5 => return not("it is an HDF5 file"),
                _ => {}
            }
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let name = [".gz", ".bgz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        match name.rsplit_once('.').map(|(_, end)| end) {
            Some("bed" | "narrowpeak" | "broadpeak") => Ok(Self::Bed),
            Some("bedgraph" | "bdg" | "bg") => Ok(Self::BedGraph),
            Some("bw" | "bigwig") => not("it does not begin as a bigWig does"),
            _ => not("its name does not say what text it is"),
        }
    }
}

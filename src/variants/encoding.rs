//! What a file is that is not read as text, told from its first bytes, never from its name.

/// Before UTF-8 text; some editors put it there.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A form of a file that is not read, and how to turn it into one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) remedy: &'static str,
}

/// Number of first bytes that decide.
pub(crate) const PROBE: usize = 18;

const BZIP2: Foreign = Foreign {
    name: "compressed with bzip2",
    remedy: "decompress it, or pipe it in: `bzip2 -dc X | vestore … -`",
};
const TWICE: Foreign = Foreign {
    name: "compressed twice with gzip",
    remedy: "decompress it once, or pipe it in: `gzip -dc X | vestore … -`",
};
const COMPRESSED_PARQUET: Foreign = Foreign {
    name: "a Parquet file compressed with gzip",
    remedy: "decompress it, and import that: `gzip -dc X.gz > X`",
};
const UTF_16: Foreign =
    Foreign { name: "encoded as UTF-16", remedy: "convert it: `iconv -f UTF-16 -t UTF-8 X > Y`" };
const UTF_32: Foreign =
    Foreign { name: "encoded as UTF-32", remedy: "convert it: `iconv -f UTF-32 -t UTF-8 X > Y`" };

/// What files begin with, and what such a file is.
const KNOWN: [(&[&[u8]], Foreign); 12] = [
    (
        &[b"\xfd7zXZ\0"],
        Foreign {
            name: "compressed with xz",
            remedy: "decompress it, or pipe it in: `xz -dc X | vestore … -`",
        },
    ),
    (
        &[b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"],
        Foreign {
            name: "compressed with zstd",
            remedy: "decompress it, or pipe it in: `zstd -dc X | vestore … -`",
        },
    ),
    (
        &[b"\x04\x22\x4d\x18"],
        Foreign {
            name: "compressed with lz4",
            remedy: "decompress it, or pipe it in: `lz4 -dc X | vestore … -`",
        },
    ),
    (
        &[b"LZIP\x01"],
        Foreign {
            name: "compressed with lzip",
            remedy: "decompress it, or pipe it in: `lzip -dc X | vestore … -`",
        },
    ),
    (
        &[b"\x1f\x9d"],
        Foreign {
            name: "compressed with compress",
            remedy: "decompress it, or pipe it in: `gzip -dc X | vestore … -`",
        },
    ),
    (
        &[b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
        Foreign {
            name: "a zip archive or a spreadsheet",
            remedy: "unpack it, or pipe one of its files in: `unzip -p X NAME | vestore … -`; save a spreadsheet as CSV",
        },
    ),
    (&[b"7z\xbc\xaf\x27\x1c"], Foreign { name: "a 7z archive", remedy: "unpack it: `7z x X`" }),
    // Before UTF-16: one of its marks begins one of these.
    (&[b"\xff\xfe\0\0", b"\0\0\xfe\xff"], UTF_32),
    (&[b"\xff\xfe", b"\xfe\xff"], UTF_16),
    (
        &[b"PAR1"],
        Foreign {
            name: "a Parquet file",
            remedy: "convert it to text; `vestore import`, `score` and `query` read Parquet too, by its path",
        },
    ),
    (&[b"ARROW1\0"], Foreign { name: "an Arrow file", remedy: "convert it to Parquet or text" }),
    (&[b"BAM\x01"], Foreign { name: "a BAM file", remedy: "use a file of variants, regions or a table" }),
];

impl Foreign {
    /// What a stream that begins with `head` is, when it is not read. `inner` says that it has been decompressed.
    pub(crate) fn of(head: &[u8], inner: bool) -> Option<Self> {
        match head {
            _ if inner && head.starts_with(b"PAR1") => return Some(COMPRESSED_PARQUET),
            _ if inner && head.starts_with(b"\x1f\x8b\x08") => return Some(TWICE),
            _ => {}
        }
        let begins = |magics: &[&[u8]]| magics.iter().any(|magic| head.starts_with(magic));
        if let Some((_, found)) = KNOWN.iter().find(|(magics, _)| begins(magics)) {
            return Some(*found);
        }
        if head.starts_with(b"BZh")
            && matches!(head.get(4..10), Some(b"1AY&SY" | b"\x17\x72\x45\x38\x50\x90"))
        {
            return Some(BZIP2);
        }
        // Without a mark: of ASCII letters, every second byte is 0, or three of four.
        match head.get(..8)?.iter().map(|byte| *byte == 0).collect::<Vec<_>>()[..] {
            [false, true, true, true, false, true, true, true]
            | [true, true, true, false, true, true, true, false] => Some(UTF_32),
            [false, true, false, true, false, true, false, true]
            | [true, false, true, false, true, false, true, false] => Some(UTF_16),
            _ => None,
        }
    }
}

/// The text of a small file that was read whole, without a byte order mark.
///
/// # Errors
/// What it is that is not read, and what to do.
pub fn plain_text(bytes: &[u8]) -> Result<&[u8], String> {
    match Foreign::of(bytes, false) {
        Some(Foreign { name, remedy }) => Err(format!("it is {name}; {remedy}")),
        None => Ok(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_known_by_their_first_bytes() {
        let name = |head: &[u8]| Foreign::of(head, false).map(|found| found.name);
        let wide = |text: &str, little: bool| -> Vec<u8> {
            text.encode_utf16()
                .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
                .collect()
        };
        assert_eq!(name(&wide("\u{feff}chr1\t5", true)), Some("encoded as UTF-16"));
        assert_eq!(name(&wide("chr1\t5", true)), Some("encoded as UTF-16"));
        assert_eq!(name(&wide("chr1\t5", false)), Some("encoded as UTF-16"));
        assert_eq!(name(b"\xff\xfe\0\0c\0\0\0h\0\0\0"), Some("encoded as UTF-32"));
        assert_eq!(name(b"c\0\0\0h\0\0\0r\0\0\0"), Some("encoded as UTF-32"));
        assert_eq!(name(b"BZh91AY&SY\0\0"), Some("compressed with bzip2"));
        assert_eq!(name(&zstd::encode_all(&b"chr1\t5\n"[..], 1).unwrap()), Some("compressed with zstd"));
        assert_eq!(Foreign::of(b"\x1f\x8b\x08\x04", true), Some(TWICE));
        assert_eq!(Foreign::of(b"PAR1", true), Some(COMPRESSED_PARQUET));
        for own in [
            b"\x1f\x8b\x08\x04\0\0\0\0".as_slice(),
            b"BZh9\t5\tA\tC\t.\t.",
            b"##fileformat",
            b"",
            b">1",
            b"BCF\x02\x02\0\0\0\0",
            b"\xef\xbb\xbfchr1",
        ] {
            assert_eq!(name(own), None, "{own:?}");
        }
    }
}

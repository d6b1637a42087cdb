//! A zip archive that is written in one go, to a pipe too: sizes and checksums of a member come behind it.

use std::io::{self, Write};

use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::ExportError;

/// Version 2.0, which knows deflate and folders.
const VERSION: u16 = 20;
/// Sizes come behind the member.
const FLAGS: u16 = 8;
const DEFLATE: u16 = 8;
/// The first day that the format knows, so that the same rows give the same bytes.
const DATE: u16 = 0x21;

pub(super) struct Zip<W> {
    out: W,
    at: u64,
    members: Vec<Member>,
}

struct Member {
    name: String,
    at: u32,
    checksum: u32,
    compressed: u32,
    size: u32,
}

/// Counts and digests what goes through.
struct Counted<W> {
    out: W,
    size: u64,
    hasher: Hasher,
}

impl<W: Write> Counted<W> {
    fn new(out: W) -> Self {
        Self { out, size: 0, hasher: Hasher::new() }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.size += written as u64;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Compresses what `write` writes; its size there and before, and its checksum.
fn deflate(
    out: impl Write,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
) -> Result<(u64, u64, u32), ExportError> {
    let mut content = Counted::new(DeflateEncoder::new(Counted::new(out), Compression::new(4)));
    write(&mut content)?;
    Ok((content.out.finish()?.size, content.size, content.hasher.finalize()))
}

/// The format's field of 32 bits.
fn narrow(size: u64) -> Result<u32, ExportError> {
    u32::try_from(size).map_err(|_| ExportError::Sheet { what: "it takes more than 4 GB" })
}

impl<W: Write> Zip<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, at: 0, members: Vec::new() }
    }

    /// Adds a member of what `write` writes.
    pub(super) fn member(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let at = narrow(self.at)?;
        let mut member = Member { name: name.to_owned(), at, checksum: 0, compressed: 0, size: 0 };
        let mut header = b"PK\x03\x04".to_vec();
        member.describe(&mut header);
        header.extend(0_u16.to_le_bytes());
        header.extend(name.as_bytes());
        self.put(&header)?;
        let (compressed, size);
        (compressed, size, member.checksum) = deflate(&mut self.out, write)?;
        self.at += compressed;
        (member.compressed, member.size) = (narrow(compressed)?, narrow(size)?);
        let mut behind = b"PK\x07\x08".to_vec();
        for field in [member.checksum, member.compressed, member.size] {
            behind.extend(field.to_le_bytes());
        }
        self.put(&behind)?;
        self.members.push(member);
        Ok(())
    }

    /// Writes the directory.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        let start = narrow(self.at)?;
        let mut directory = Vec::new();
        for member in &self.members {
            directory.extend(b"PK\x01\x02");
            directory.extend(VERSION.to_le_bytes());
            member.describe(&mut directory);
            // Extra field, comment, disk, attributes.
            directory.extend([0; 12]);
            directory.extend(member.at.to_le_bytes());
            directory.extend(member.name.as_bytes());
        }
        let size = narrow(directory.len() as u64)?;
        let count = u16::try_from(self.members.len()).expect("a spreadsheet has few members; this is a bug");
        directory.extend(b"PK\x05\x06\0\0\0\0");
        directory.extend([count.to_le_bytes(), count.to_le_bytes()].as_flattened());
        directory.extend([size.to_le_bytes(), start.to_le_bytes()].as_flattened());
        directory.extend(0_u16.to_le_bytes());
        self.put(&directory)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.at += bytes.len() as u64;
        Ok(self.out.write_all(bytes)?)
    }
}

impl Member {
    /// What a member's header and its entry of the directory have in common, up to the length of the name.
    fn describe(&self, out: &mut Vec<u8>) {
        for field in [VERSION, FLAGS, DEFLATE, 0, DATE] {
            out.extend(field.to_le_bytes());
        }
        for field in [self.checksum, self.compressed, self.size] {
            out.extend(field.to_le_bytes());
        }
        let length = u16::try_from(self.name.len()).expect("members have short names; this is a bug");
        out.extend(length.to_le_bytes());
    }
}

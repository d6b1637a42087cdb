//! Compresses pages of floats with a zstd block for each of their byte streams.
//!
//! `BYTE_STREAM_SPLIT` puts the first bytes of all floats of a page before the second ones, and so on. zstd codes letters
//! block by block, so streams that share a block share its code, and noise spoils what is regular. Blocks that end where
//! streams do cost nothing to read: a page stays one frame of zstd.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::basic::{CompressionCodec, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};
use zstd::zstd_safe::{CParameter, compress_bound};

/// Streams of a page of float32.
const STREAMS: usize = 4;
/// Level of frames whose blocks are streams. Short matches cost more than letters there, so only long ones are sought,
/// and they are found at any level.
const APART_LEVEL: i32 = 1;
/// Shortest match there, the longest that zstd allows.
const APART_MATCH: u32 = 7;

/// Makes the stores that hold the pages of a segment's columns until their row group ends. Pages of floats come to them
/// uncompressed, others as they will lie in the file.
#[derive(Debug)]
pub(super) struct StreamPages {
    level: i32,
    sizes: Sizes,
}

/// Bytes of the compressed pages of each column of floats, with their headers, in order.
type Sizes = Arc<Mutex<BTreeMap<usize, Vec<usize>>>>;

/// The pages of one column in one row group: headers and data in turn.
struct Pages {
    blobs: Vec<Bytes>,
    floats: Option<Floats>,
}

/// What pages of floats need.
struct Floats {
    column: usize,
    /// Kinds of levels before the values.
    levels: usize,
    whole: Encoder<'static>,
    apart: Encoder<'static>,
    /// Of the page whose data come next.
    header: Option<Bytes>,
    sizes: Sizes,
}

impl StreamPages {
    /// Pages are frames of this level of zstd, or frames whose blocks are streams, whichever is smaller.
    pub(super) fn new(level: i32) -> Self {
        Self { level, sizes: Sizes::default() }
    }

    /// Puts what the pages of a column of the row group that ended became into what was noted of them.
    pub(super) fn correct(&self, column: usize, closed: &mut ColumnCloseResult) -> Result<()> {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).remove(&column);
        let Some(sizes) = sizes else { return Ok(()) };
        let total: usize = sizes.iter().sum();
        closed.bytes_written = total as u64;
        let metadata = closed.metadata.clone().into_builder();
        let metadata = metadata.set_compression_codec(CompressionCodec::ZSTD);
        closed.metadata = metadata.set_total_compressed_size(signed(total)?).build()?;
        let locations = closed.offset_index.iter_mut().flat_map(|index| &mut index.page_locations);
        let mut offset = 0;
        for (location, size) in locations.zip(sizes) {
            (location.offset, location.compressed_page_size) = (offset, signed(size)?);
            offset += signed::<i64>(size)?;
        }
        Ok(())
    }
}

fn signed<N: TryFrom<usize>>(size: usize) -> Result<N> {
    N::try_from(size).map_err(|_| ParquetError::General(format!("a page of {size} bytes is too large")))
}

impl PageStoreFactory for StreamPages {
    fn create(&self, args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        let column = args.column_descriptor();
        if column.physical_type() != Type::FLOAT {
            return Ok(Box::new(Pages { blobs: Vec::new(), floats: None }));
        }
        let mut apart = Encoder::new(APART_LEVEL)?;
        apart.set_parameter(CParameter::MinMatch(APART_MATCH))?;
        let floats = Floats {
            column: args.column_index(),
            levels: usize::from(column.max_rep_level() > 0) + usize::from(column.max_def_level() > 0),
            whole: Encoder::new(self.level)?,
            apart,
            header: None,
            sizes: Arc::clone(&self.sizes),
        };
        Ok(Box::new(Pages { blobs: Vec::new(), floats: Some(floats) }))
    }
}

impl PageStore for Pages {
    fn put(&mut self, blob: Bytes) -> Result<PageKey> {
        let key = PageKey::new(self.blobs.len() as u64);
        let Some(floats) = &mut self.floats else {
            self.blobs.push(blob);
            return Ok(key);
        };
        let Some(header) = floats.header.take() else {
            floats.header = Some(blob);
            // Its place, until it is known how long the data become.
            self.blobs.push(Bytes::new());
            return Ok(key);
        };
        let data = floats.compressed(&blob)?;
        let header = with_size(&header, data.len())?;
        let mut sizes = floats.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.entry(floats.column).or_default().push(header.len() + data.len());
        if let Some(place) = self.blobs.last_mut() {
            *place = header.into();
        }
        self.blobs.push(data.into());
        Ok(key)
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let blob = usize::try_from(key.get()).ok().and_then(|key| self.blobs.get_mut(key));
        blob.map(std::mem::take).ok_or_else(|| ParquetError::General("a page is missing".to_owned()))
    }

    fn memory_size(&self) -> usize {
        self.blobs.iter().map(Bytes::len).sum()
    }
}

impl Floats {
    /// The smaller frame of a data page of version 1.
    fn compressed(&mut self, page: &[u8]) -> Result<Vec<u8>> {
        let mut values = 0;
        for _ in 0..self.levels {
            let length = page.get(values..).and_then(|rest| rest.first_chunk()).copied();
            values += size_of::<u32>() + length.map_or(0, |length| u32::from_le_bytes(length) as usize);
        }
        let stream = page.len().saturating_sub(values) / STREAMS;
        let ends: [usize; STREAMS] = std::array::from_fn(|number| values + (number + 1) * stream);
        if ends.last() != Some(&page.len()) {
            return Err(ParquetError::General("a page of floats has another layout".to_owned()));
        }
        let apart = frame(&mut self.apart, page, &ends)?;
        let whole = frame(&mut self.whole, page, &[page.len()])?;
        Ok(if apart.len() < whole.len() { apart } else { whole })
    }
}

/// One frame of zstd, of which a block ends at each of `ends`, the last of which is that of the page.
fn frame(encoder: &mut Encoder<'static>, page: &[u8], ends: &[usize]) -> Result<Vec<u8>> {
    encoder.reinit()?;
    encoder.set_pledged_src_size(Some(page.len() as u64))?;
    // A block that is cut short has a header of its own.
    let mut bytes = Vec::with_capacity(compress_bound(page.len()) + 16 * ends.len());
    let mut out = OutBuffer::around(&mut bytes);
    let mut start = 0;
    for end in ends {
        let mut part = InBuffer::around(&page[start..*end]);
        while part.pos() < part.src.len() {
            encoder.run(&mut part, &mut out)?;
        }
        if *end < page.len() {
            while encoder.flush(&mut out)? > 0 {}
        }
        start = *end;
    }
    while encoder.finish(&mut out, true)? > 0 {}
    Ok(bytes)
}

/// The header of a page with another compressed size, its third field: a Thrift struct in compact form (parquet.thrift,
/// `PageHeader`) that begins with type, uncompressed and compressed size.
fn with_size(header: &[u8], size: usize) -> Result<Vec<u8>> {
    /// Field number one more than that before, an i32.
    const NEXT_I32: u8 = 0x15;
    let strange = || ParquetError::General("a page has a header of another layout".to_owned());
    let (mut rest, mut before) = (header, 0);
    for _ in 0..3 {
        before = header.len() - rest.len() + 1;
        let number = rest.strip_prefix(&[NEXT_I32]).ok_or_else(strange)?;
        let last = number.iter().position(|byte| byte & 0x80 == 0).ok_or_else(strange)?;
        rest = &number[last + 1..];
    }
    let mut made = header[..before].to_vec();
    // Zigzag of a number that is not negative, seven bits a byte.
    let mut number = 2 * size as u64;
    while number >= 0x80 {
        made.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    made.push(number.to_le_bytes()[0]);
    made.extend_from_slice(rest);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes whose third stream is noise and whose fourth is regular, as those of scores.
    fn page(values: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut page = vec![2, 0, 0, 0, 4, 1];
        page.extend(std::iter::repeat_with(&mut noise).take(3 * values));
        page.extend(std::iter::repeat_with(|| 60 + noise() % 5).take(values));
        page
    }

    #[test]
    fn a_page_is_one_frame_however_its_blocks_end() {
        let pages = StreamPages::new(15);
        let mut apart = Encoder::new(APART_LEVEL).unwrap();
        apart.set_parameter(CParameter::MinMatch(APART_MATCH)).unwrap();
        let whole = Encoder::new(15).unwrap();
        let mut floats =
            Floats { column: 0, levels: 1, whole, apart, header: None, sizes: Arc::clone(&pages.sizes) };
        for values in [0, 1, 7, 1000, 8192, 100_000] {
            let page = page(values, 3);
            let made = floats.compressed(&page).unwrap();
            assert_eq!(zstd::bulk::decompress(&made, page.len()).unwrap(), page, "{values} values");
            let plain = zstd::bulk::compress(&page, 15).unwrap();
            assert!(made.len() <= plain.len() + 8, "{values} values: {} and {}", made.len(), plain.len());
            // Five letters of about equal number take 0.29 of a byte; in one block with noise they took 0.37.
            let most = 6 + 24 + 3 * values + values * 2 / 5 + 20;
            assert!(made.len() <= most, "{values} values: {}", made.len());
        }
        assert!(floats.compressed(&[2, 0, 0, 0, 4, 1, 9]).is_err());
        assert!(floats.compressed(&[255, 255, 255, 255]).is_err());
    }

    #[test]
    fn only_the_compressed_size_of_a_header_changes() {
        // Data page; 300 bytes; 300 bytes; a struct that follows.
        let header = [0x15, 0, 0x15, 0xd8, 0x04, 0x15, 0xd8, 0x04, 0x2c, 0x15, 6, 0, 0];
        assert_eq!(with_size(&header, 300).unwrap(), header);
        let expected = [0x15, 0, 0x15, 0xd8, 0x04, 0x15, 0x0a, 0x2c, 0x15, 6, 0, 0];
        assert_eq!(with_size(&header, 5).unwrap(), expected);
        assert!(with_size(&header[..7], 5).is_err() && with_size(&[0x15, 0, 0x2c, 0], 5).is_err());
    }
}

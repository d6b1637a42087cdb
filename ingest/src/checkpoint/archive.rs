//! The zip archive that torch writes: entries are stored, neither compressed nor encrypted, so that
//! reading one is knowing where it lies. Source: PKWARE's APPNOTE, zip64 included.

use std::collections::HashMap;
use std::ops::Range;

use super::pickle::PickleError;

/// The stored entries of a zip archive: name and byte range in the file.
pub(super) struct Archive {
    pub(super) entries: HashMap<String, Range<usize>>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

impl Archive {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        if !bytes.starts_with(b"PK\x03\x04") {
            return Err(PickleError::NotZip);
        }
        let damaged = |place| PickleError::DamagedZip { place };
        let (mut at, count) = directory(bytes).ok_or(damaged("its end record"))?;
        let mut entries = HashMap::new();
        for _ in 0..count {
            let (name, entry, next) = entry(bytes, at).ok_or(damaged("its directory"))?;
            at = next;
            let Some(range) = entry else { return Err(PickleError::NotStored { entry: name }) };
            entries.insert(name, range);
        }
        Ok(Self { entries })
    }
}

/// Offset of the central directory and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    let earliest = bytes.len().saturating_sub(22 + usize::from(u16::MAX));
    let end = (earliest..=bytes.len().checked_sub(22)?)
        .rev()
        .find(|at| bytes.get(*at..at + 4) == Some(b"PK\x05\x06".as_slice()))?;
    let (mut count, mut offset) = (u64::from(u16_at(bytes, end + 10)?), u64::from(u32_at(bytes, end + 16)?));
    // Archives over 4 GiB or 65,535 entries keep the true numbers in the zip64 record.
    if let Some(locator) = end.checked_sub(20)
        && bytes.get(locator..locator + 4) == Some(b"PK\x06\x07".as_slice())
    {
        let wide = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
        if bytes.get(wide..wide.checked_add(4)?) != Some(b"PK\x06\x06".as_slice()) {
            return None;
        }
        count = u64_at(bytes, wide + 32)?;
        offset = u64_at(bytes, wide + 48)?;
    }
    Some((usize::try_from(offset).ok()?, count))
}

/// Reads the directory entry at `at`: its name, its bytes (`None` when not stored plainly), and
/// where the next entry starts.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Option<Range<usize>>, usize)> {
    if bytes.get(at..at.checked_add(4)?) != Some(b"PK\x01\x02".as_slice()) {
        return None;
    }
    let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
    let (mut packed, mut size) = (u64::from(u32_at(bytes, at + 20)?), u64::from(u32_at(bytes, at + 24)?));
    let mut offset = u64::from(u32_at(bytes, at + 42)?);
    let [name, extra, comment] = [28, 30, 32].map(|field| u16_at(bytes, at + field).map(usize::from));
    let (name_end, extra_end) = (at + 46 + name?, at + 46 + name? + extra?);
    let mut field = name_end;
    while field + 4 <= extra_end {
        let (id, length) = (u16_at(bytes, field)?, usize::from(u16_at(bytes, field + 2)?));
        if id == 1 {
            // Zip64: only the numbers that do not fit 32 bits, in this order.
            let mut wide = field + 4;
            for value in [&mut size, &mut packed, &mut offset] {
                if *value == u64::from(u32::MAX) {
                    *value = u64_at(bytes, wide)?;
                    wide += 8;
                }
            }
        }
        field += 4 + length;
    }
    let text = String::from_utf8(bytes.get(at + 46..name_end)?.to_vec()).ok()?;
    let next = extra_end + comment?;
    if method != 0 || flags & 1 != 0 || packed != size {
        return Some((text, None, next));
    }
    let local = usize::try_from(offset).ok()?;
    if bytes.get(local..local.checked_add(4)?) != Some(b"PK\x03\x04".as_slice()) {
        return None;
    }
    let skip = usize::from(u16_at(bytes, local + 26)?) + usize::from(u16_at(bytes, local + 28)?);
    let start = local + 30 + skip;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= bytes.len()).then_some((text, Some(start..end), next))
}

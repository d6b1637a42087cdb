//! What the rows and pages of a segment must be, whoever wrote it: checksums that fit say only that the catalog agrees.

use arrow::array::{AsArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Int32Type};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use vestore_schema::KEY_COLUMNS;

/// The most that a page may grow when it is decompressed, where it is large: pages of letters and numbers that
/// vestore writes stay far below.
const EXPANSION: u64 = 1 << 10;
/// What any page may take.
const PAGE_BYTES: u64 = 16 << 20;

/// Checks a batch of rows: positions ascend and scores are numbers. `previous` is the last position of the batch before,
/// and becomes that of this one.
pub(super) fn check_rows(batch: &RecordBatch, previous: &mut i32) -> Result<(), String> {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.name() == KEY_COLUMNS[0] {
            let positions = column.as_primitive::<Int32Type>().values();
            let ascend = positions.first().is_none_or(|first| *previous <= *first) && positions.is_sorted();
            if !ascend {
                return Err("its positions do not ascend".to_owned());
            }
            *previous = positions.last().copied().unwrap_or(*previous);
        }
        let values = match field.data_type() {
            DataType::Float32 => Some(column.as_primitive::<Float32Type>()),
            DataType::FixedSizeList(..) => column.as_fixed_size_list().values().as_primitive_opt(),
            _ => None,
        };
        if values.is_some_and(|values| !are_finite(values)) {
            return Err(format!("its column `{}` holds a value that is not a number", field.name()));
        }
    }
    Ok(())
}

/// Whether every value that is there is finite. What stands in the place of a missing one does not count.
fn are_finite(values: &Float32Array) -> bool {
    values.values().iter().all(|value| value.is_finite()) || values.iter().flatten().all(f32::is_finite)
}

/// Checks that row groups have as many rows as the file, and that the page index of each column lists its pages once, in both of its parts.
pub(super) fn check_index(metadata: &ParquetMetaData) -> Result<(), String> {
    let rows = metadata.row_groups().iter().map(|group| i128::from(group.num_rows())).sum::<i128>();
    if rows != i128::from(metadata.file_metadata().num_rows()) {
        return Err(format!("its row groups have {rows} rows, and its footer says another number"));
    }
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let index = metadata.page_index_for_row_group(number);
        if group.num_rows() < 0 || group.compressed_size() < 0 {
            return Err("a row group has a negative size".to_owned());
        }
        for column in 0..group.num_columns() {
            let pages = index.offset_index(column).map_or(0, |index| index.page_locations().len());
            let bounds = index.column_index(column).map(ColumnIndexMetaData::num_pages);
            if bounds.is_some_and(|bounds| bounds != pages as u64) {
                return Err(format!("the two parts of the page index of column {} differ", column + 1));
            }
        }
    }
    Ok(())
}

/// Checks the begin of a page: what it takes in memory is in its header, before anything is decompressed. The header is
/// a Thrift struct in compact form (parquet.thrift, `PageHeader`) whose first fields are type, uncompressed and
/// compressed size. Of a page of lists, `most` are the entries that it may have; the next field is then the header of
/// a data page, which begins with their number.
pub(crate) fn check_page(page: &[u8], most: Option<u64>) -> Result<(), String> {
    /// Field number one more than that before, an i32.
    const NEXT_I32: u8 = 0x15;
    /// Field number two more than that before, a struct.
    const DATA_PAGE: u8 = 0x2c;
    let no_header = || "a page has no header as vestore writes it".to_owned();
    let mut rest = page;
    let (Some(_), Some(uncompressed), Some(compressed)) =
        (number(&mut rest, NEXT_I32), number(&mut rest, NEXT_I32), number(&mut rest, NEXT_I32))
    else {
        return Err(no_header());
    };
    if uncompressed > PAGE_BYTES.max(compressed.saturating_mul(EXPANSION)) {
        return Err(format!("a page of {compressed} bytes would take {uncompressed} in memory"));
    }
    let Some(most) = most else { return Ok(()) };
    let (&DATA_PAGE, mut rest) = rest.split_first().ok_or_else(no_header)? else { return Err(no_header()) };
    let entries = number(&mut rest, NEXT_I32).ok_or_else(no_header)?;
    if entries > most {
        return Err(format!("a page of lists has {entries} entries, more than {most}"));
    }
    Ok(())
}

/// Takes a number that is not negative from the begin of `rest`, and what marks it as one of its `kind`.
fn number(rest: &mut &[u8], kind: u8) -> Option<u64> {
    let (&found, mut after) = rest.split_first()?;
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let (&byte, next) = after.split_first()?;
        after = next;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            *rest = after;
            // Zigzag: even where it is not negative.
            return (found == kind && value & 1 == 0).then_some(value / 2);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u64, uncompressed: u64, compressed: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [kind, uncompressed, compressed] {
            bytes.push(0x15);
            let mut value = number * 2;
            while value >= 0x80 {
                bytes.push((value & 0x7f) as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
        }
        bytes
    }

    #[test]
    fn a_page_that_grows_beyond_reason_is_refused_before_it_does() {
        let check = |page: &[u8]| check_page(page, None);
        assert!(check(&header(0, 32 << 10, 900)).is_ok());
        assert!(check(&header(0, 16 << 20, 10)).is_ok());
        assert!(check(&header(0, 1 << 30, 2 << 20)).is_ok());
        assert!(check(&header(2, 1 << 30, 30 << 10)).is_err());
        assert!(check(&header(0, (1 << 31) - 1, 100)).is_err());
        for cut in 0..4 {
            assert!(check(&header(0, 100, 100)[..cut]).is_err());
        }
        assert!(check(&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn a_page_of_lists_says_how_many_entries_it_has() {
        let page = |field: u8, entries: u8| [header(0, 100, 100), vec![field, 0x15, 2 * entries]].concat();
        assert!(check_page(&page(0x2c, 30), Some(30)).is_ok());
        assert!(check_page(&page(0x2c, 31), Some(30)).is_err());
        assert!(check_page(&page(0x5c, 30), Some(30)).is_err(), "a page of version 2");
        assert!(check_page(&header(0, 100, 100), Some(30)).is_err());
    }
}

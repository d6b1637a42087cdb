//! Layouts of effects in one file.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::{Numbers, Outcome, TARGETS};

/// Rows of a row group.
const GROUP: usize = 8192;
/// Variants whose effects on one target are read.
const REGION: usize = 10_000;

fn lists(width: usize, numbers: Vec<f32>) -> Outcome<ArrayRef> {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let lists = FixedSizeListArray::try_new(
        item,
        i32::try_from(width)?,
        Arc::new(Float32Array::from(numbers)),
        None,
    )?;
    Ok(Arc::new(lists))
}

/// Writes the file of a layout: `width` 0 is a column per target.
fn write(path: &Path, rows: usize, width: usize, page: usize, level: i32) -> Outcome<u64> {
    let widths: Vec<usize> = match width {
        0 => vec![0; TARGETS],
        width => (0..TARGETS).step_by(width).map(|first| width.min(TARGETS - first)).collect(),
    };
    let field = |(number, width): (usize, &usize)| {
        let item = Field::new("item", DataType::Float32, true);
        let kind = match *width {
            0 => DataType::Float32,
            width => DataType::FixedSizeList(Arc::new(item), i32::try_from(width).unwrap_or(0)),
        };
        Field::new(format!("log_sum.{number}"), kind, true)
    };
    let mut fields = vec![Field::new("position", DataType::Int32, false)];
    fields.extend(widths.iter().enumerate().map(field));
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::BYTE_STREAM_SPLIT)
        .set_max_row_group_row_count(Some(GROUP))
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled("position".into(), EnabledStatistics::Page)
        .set_column_encoding("position".into(), Encoding::DELTA_BINARY_PACKED);
    let mut writer =
        ArrowWriter::try_new(File::create(path)?, Arc::clone(&schema), Some(properties.build()))?;
    let mut random = Numbers(7);
    let scales: Vec<f32> = (0..TARGETS).map(|_| (3.0 * random.normal()).exp()).collect();
    for first in (0..rows).step_by(512) {
        let count = 512.min(rows - first);
        let sizes: Vec<f32> = (0..count).map(|_| (2.0 * random.normal()).exp() * 1e-2).collect();
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from_iter_values((1..).skip(first).take(count)))];
        let mut target = 0;
        for width in &widths {
            let end = target + (*width).max(1);
            let mut numbers = Vec::with_capacity(count * (end - target));
            for size in &sizes {
                numbers.extend(scales[target..end].iter().map(|scale| scale * size * random.normal()));
            }
            target = end;
            columns.push(if *width == 0 {
                Arc::new(Float32Array::from(numbers))
            } else {
                lists(*width, numbers)?
            });
        }
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    writer.close()?;
    Ok(std::fs::metadata(path)?.len())
}

/// Rows `first..first + count` of the columns at `columns`, or of all; how many numbers there are.
fn read(
    file: &File,
    metadata: &ArrowReaderMetadata,
    columns: Option<usize>,
    first: usize,
    count: usize,
) -> Outcome<usize> {
    let schema = metadata.parquet_schema();
    let mask = columns.map_or_else(ProjectionMask::all, |column| ProjectionMask::roots(schema, [0, column]));
    let selection = RowSelection::from(vec![RowSelector::skip(first), RowSelector::select(count)]);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.try_clone()?, metadata.clone())
        .with_projection(mask)
        .with_row_selection(selection)
        .with_batch_size(count.min(1024))
        .build()?;
    let mut rows = 0;
    for batch in reader {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

/// The best of seven, in milliseconds.
fn best(mut each: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..7 {
        let started = Instant::now();
        each()?;
        least = least.min(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(least)
}

/// Writes and reads `rows` variants in each of `layouts`, in files in `folder`.
#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
pub(crate) fn compare(folder: &Path, rows: usize, layouts: &[String]) -> Outcome<()> {
    println!("layout\tbytes_per_number\twrite_s\topen_ms\topen_with_index_ms\tvariant_ms\ttarget_ms");
    for layout in layouts {
        let parts: Vec<&str> = layout.split('/').collect();
        let (width, page, level) = match parts.as_slice() {
            ["columns", page, level] => (0, page.parse()?, level.parse()?),
            ["lists", width, page, level] => (width.parse()?, page.parse()?, level.parse()?),
            _ => return Err(format!("no layout: {layout}").into()),
        };
        let path = folder.join(layout.replace('/', "-"));
        let started = Instant::now();
        let bytes = write(&path, rows, width, page, level)?;
        let written = started.elapsed().as_secs_f64();
        let file = File::open(&path)?;
        let load = |policy| {
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new().with_page_index_policy(policy))
        };
        let open = best(|| load(PageIndexPolicy::Skip).map(drop).map_err(Into::into))?;
        let index = best(|| load(PageIndexPolicy::Required).map(drop).map_err(Into::into))?;
        let metadata = load(PageIndexPolicy::Required)?;
        let variant = best(|| read(&file, &metadata, None, rows / 3, 1).map(|_| ()))?;
        let column = 4000_usize.checked_div(width).unwrap_or(4000) + 1;
        let target =
            best(|| read(&file, &metadata, Some(column), rows / 5, REGION.min(rows / 2)).map(|_| ()))?;
        let each = bytes as f64 / (rows * TARGETS) as f64;
        println!("{layout}\t{each:.3}\t{written:.1}\t{open:.1}\t{index:.1}\t{variant:.1}\t{target:.1}");
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

//! A folder of Parquet files of one schema, partitioned by track and contig as the store itself is.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Metadata};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use vestore_schema::{Model, STATUS_COLUMN, TRACK_KEY, Table, segment_metadata, segment_path};

use super::{ExportError, GROUP_ROWS};
use crate::query::QueryPlan;
use crate::store::is_segment_file;

/// Writes the answer of `plan` below `folder`, one file for each track and contig, with the metadata of segments
/// and the score columns of all tracks, null where a track has another: readers that take their schema from one
/// file see every column. Gives the number of rows.
///
/// # Errors
/// When reading or writing fails.
pub fn write_hive(plan: &QueryPlan, models: &[Model], folder: &Path) -> Result<u64, ExportError> {
    // Not the dictionary columns of the answer: the path says contig and track, the footer the model.
    let fields = plan.schema().fields().iter().enumerate();
    let mut columns: Vec<usize> = fields
        .filter(|(_, field)| {
            !matches!(field.data_type(), DataType::Dictionary(..)) && field.name() != STATUS_COLUMN
        })
        .map(|(index, _)| index)
        .collect();
    columns.push(plan.schema().index_of(STATUS_COLUMN)?);
    let schema = Arc::new(plan.schema().project(&columns)?.with_metadata(Metadata::default()));
    let mut count = 0;
    for part in &plan.parts {
        let contig = plan.store().assembly().contig(part.contig);
        for (index, track) in plan.tracks.iter().enumerate() {
            let of_track = plan.of(index, part);
            let mut rows = of_track.rows().peekable();
            if rows.peek().is_none() {
                continue;
            }
            let model = models.iter().find(|model| model.name == track.model);
            let path = segment_path(Table::Scores, &track.name, &contig.name, 0);
            let path = folder.join(path.split_once('/').map_or(path.as_str(), |(_, rest)| rest));
            if let Some(parent) = path.parent() {
                crate::output::create_folder(parent)?;
            }
            let metadata = segment_metadata(Table::Scores, track, model, contig);
            let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
                .set_max_row_group_row_count(Some(GROUP_ROWS))
                .set_key_value_metadata(Some(metadata))
                .build();
            let file = BufWriter::new(File::create_new(&path)?);
            let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
            for batch in rows {
                let batch = batch?.project(&columns)?;
                let batch = RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec())?;
                count += batch.num_rows() as u64;
                writer.write(&batch)?;
            }
            writer.into_inner()?.flush()?;
        }
    }
    Ok(count)
}

/// The files and folders below `folder`, those inside first, when all of them are what [`write_hive`] writes.
///
/// # Errors
/// The first that is not.
pub fn hive_contents(folder: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    let mut found = Vec::new();
    for track in entries(folder)? {
        for contig in partition(&track, "track=")? {
            for file in partition(&contig, "contig=")? {
                if !is_exported(&file) {
                    return Err(file);
                }
                found.push(file);
            }
            found.push(contig);
        }
        found.push(track);
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    list().map_err(|_| folder.to_owned())
}

/// What lies in a folder, no link, whose name begins with `prefix`.
fn partition(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>, PathBuf> {
    let named = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()));
    let is_folder = folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if named && is_folder { entries(folder) } else { Err(folder.to_owned()) }
}

/// Whether a file is a plain one, named as segments are, and says in its footer that it is of a track.
fn is_exported(path: &Path) -> bool {
    let plain = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    if !plain || !is_segment_file(path) {
        return false;
    }
    let Some(reader) = File::open(path).ok().and_then(|file| SerializedFileReader::new(file).ok()) else {
        return false;
    };
    let footer = reader.metadata().file_metadata().key_value_metadata();
    footer.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == TRACK_KEY))
}

//! Segments with checksums that fit, whatever they hold.

use std::fs::{self, File};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use vestore_schema::{Digest, Position, Segment};

use super::{STORE, WHOLE, put_record, renew, use_store};

/// The segment as the catalog has it, and what the footer of its file says.
static ORIGINAL: LazyLock<(Segment, Vec<KeyValue>)> = LazyLock::new(|| {
    let segment = STORE.all_segments().expect("segments").remove(0);
    let reader = SerializedFileReader::new(File::open(STORE.root().join(segment.path())).expect("opened"));
    let said = reader.expect("parquet").metadata().file_metadata().key_value_metadata().cloned();
    (segment, said.expect("metadata"))
});

/// Puts a forged file in the place of the segment of [`STORE`] and uses the store. An even `how` changes bytes of the
/// file, at the places that `bytes` name; an odd one writes rows that `bytes` spell.
pub fn use_segment(how: u8, bytes: &[u8]) {
    renew();
    let original = &*ORIGINAL;
    let mut segment = original.0.clone();
    let file = if how.is_multiple_of(2) { changed(&mut segment, bytes) } else { written(&mut segment, how, bytes) };
    segment.bytes = file.len() as u64;
    segment.checksum = Digest::of(&file);
    segment.tail.crc32 = crc32fast::hash(&file[segment.tail.start as usize..]);
    fs::write(&WHOLE[1].0, &file).expect("written");
    put_record(5, &serde_json::to_vec(&segment).expect("a record"));
    use_store();
}

/// The text of checksums of the blocks of `bytes`.
fn blocks(bytes: &[u8]) -> String {
    let sums: Vec<u8> = bytes.chunks(16 << 10).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect();
    STANDARD.encode(sums)
}

/// The file with other bytes: each place is two bytes, its new value the third.
fn changed(segment: &mut Segment, edits: &[u8]) -> Vec<u8> {
    let mut file = WHOLE[1].1.clone();
    let start = segment.tail.start as usize;
    let old = blocks(&file[..start]);
    let at = file.windows(old.len()).rposition(|text| text == old.as_bytes()).expect("the checksums");
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % file.len();
        file[place] = edit[2];
    }
    let new = blocks(&file[..start]);
    file[at..at + new.len()].copy_from_slice(new.as_bytes());
    file
}

/// A file of rows of 10 bytes: position, letters of alleles, score. `how` says which columns are of another type.
fn written(segment: &mut Segment, how: u8, bytes: &[u8]) -> Vec<u8> {
    let rows: Vec<&[u8]> = bytes.chunks_exact(10).collect();
    let number = |row: &&[u8]| i32::from_le_bytes([row[0], row[1], row[2], row[3]]);
    let score = |row: &&[u8]| f32::from_le_bytes([row[6], row[7], row[8], row[9]]);
    let letter = |at: usize| rows.iter().map(|row| char::from(row[at]).to_string()).collect::<Vec<_>>();
    let texts = |at: usize| Arc::new(StringArray::from(letter(at))) as ArrayRef;
    let positions: ArrayRef = match how & 2 {
        0 => Arc::new(Int32Array::from_iter_values(rows.iter().map(number))),
        _ => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| number(row).into()))),
    };
    let scores: ArrayRef = match how & 4 {
        0 => Arc::new(Float32Array::from_iter(rows.iter().map(|row| (row[4] > 9).then(|| score(row))))),
        _ => Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| score(row).into()))),
    };
    let statuses: ArrayRef = match how & 8 {
        0 => Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "scored"))),
        _ => texts(5),
    };
    let mut columns =
        vec![("position", positions), ("reference", texts(4)), ("alternate", texts(5)), ("score", scores), ("status", statuses)];
    if how & 16 != 0 {
        columns.remove(usize::from(how >> 5) % 5);
    }
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), array.is_nullable())).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("a batch");
    let said = ORIGINAL.1.iter().filter(|pair| pair.key != "vestore.blocks").cloned().collect();
    let properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(said))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("a writer");
    writer.write(&batch).and_then(|()| writer.flush()).expect("written");
    writer.sync().expect("written");
    segment.tail.start = writer.inner().len() as u64;
    let sums = blocks(writer.inner());
    writer.append_key_value_metadata(KeyValue::new("vestore.blocks".to_owned(), sums));
    segment.rows = batch.num_rows().max(1) as u64;
    segment.statuses = [(vestore_schema::Status::Scored, segment.rows)].into();
    segment.last = Position::from_column(rows.last().map_or(150, number).clamp(101, 200));
    writer.into_inner().expect("finished")
}

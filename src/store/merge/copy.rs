//! What is taken of a source, as files of the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Metadata, SchemaRef};
use vestore_schema::{Architecture, Model, Segment, Variant, segment_path};

use super::source::{Found, Source};
use super::{MergeError, in_source};
use crate::query::{QueryPlan, SegmentReader, damaged};
use crate::store::commit::Writer;
use crate::store::compact::Feed;
use crate::store::digest::digest;
use crate::store::error::StoreError;
use crate::store::files::Written;
use crate::store::medium::Access;
use crate::store::row_keys::RowKeys;
use crate::store::{PARTIAL, Store};

impl Writer {
    /// Takes a segment without the rows of some variants; none where nothing is left.
    pub(super) fn take_segment(
        &mut self,
        source: &Source,
        found: &Found,
        left_out: Option<&BTreeSet<Variant>>,
    ) -> Result<Option<Segment>, MergeError> {
        let contig = self.store().assembly().contig(found.contigs[1]).name.clone();
        if left_out.is_none() && contig == found.segment.contig {
            let taken = self.guarded(|writer| writer.copy_segment(&source.store, &found.segment));
            return in_source(&source.path, taken).map(Some);
        }
        // Its path and its footer name the contig.
        in_source(&source.path, self.rewrite_segment(source, found, left_out))
    }

    /// Copies the file of a segment under a number of this store, and compares it with its checksum.
    fn copy_segment(&mut self, source: &Store, segment: &Segment) -> Result<Segment, StoreError> {
        let number = self.take_number();
        let path = segment_path(segment.table, &segment.track, &segment.contig, number);
        self.files().make_folders(&path)?;
        let place = self.store().root().join(&path);
        let temporary = place.with_extension(format!("parquet{PARTIAL}"));
        let from = source.open_segment(segment).map_err(|error| damaged(segment, &error))?;
        let length = from.len().map_err(|error| damaged(segment, &error))?;
        if length != segment.bytes {
            return Err(damaged(segment, &format!("{length} bytes long, not {}", segment.bytes)));
        }
        let to = self.store().medium.open(&temporary, Access::Create);
        let to = to.map_err(StoreError::io("create", &temporary))?;
        let write =
            |bytes: &[u8], offset| to.write_at(bytes, offset).map_err(StoreError::io("write", &temporary));
        let found = digest(from.as_ref(), |error| damaged(segment, &error), write)?;
        if found != segment.checksum {
            let reason = format!("checksum {} is not {}", found.short(), segment.checksum.short());
            return Err(damaged(segment, &reason));
        }
        self.files().push(Written { temporary, place, file: Some(Arc::from(to)) })?;
        Ok(Segment { number, ..segment.clone() })
    }

    /// Writes the rows of a segment anew.
    fn rewrite_segment(
        &mut self,
        source: &Source,
        found: &Found,
        left_out: Option<&BTreeSet<Variant>>,
    ) -> Result<Option<Segment>, StoreError> {
        let Found { segment, contigs: [here, there] } = found;
        let snapshot = source.store.snapshot()?;
        let track = snapshot.track(&segment.track)?;
        let model = snapshot.models.iter().find(|model| model.name == track.model);
        let schema = SchemaRef::clone(SegmentReader::open(&source.store, segment)?.schema());
        let schema = Arc::new(schema.as_ref().clone().with_metadata(Metadata::default()));
        let plan = QueryPlan::of_segments(&source.store, track, *here, vec![segment.clone()], &schema);
        let mut feed = Feed::new(plan.rows(), schema);
        let batches = std::iter::from_fn(|| feed.next()).map(|batch| {
            let batch = batch?;
            let Some(left_out) = left_out else { return Ok(batch) };
            let keys = RowKeys::of(&batch);
            let kept: BooleanArray = (0..batch.num_rows())
                .map(|row| Some(!left_out.contains(&keys.variant(*here, row))))
                .collect();
            Ok(filter_record_batch(&batch, &kept)?)
        });
        let filled = batches.filter(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0));
        self.write(segment.table, track, model, *there, filled)
    }

    /// The record of a model of `source` for this store; what that copied is copied.
    pub(super) fn copy_of(&mut self, source: &Store, model: &Model) -> Result<Model, StoreError> {
        if !model.copied {
            return Ok(model.clone());
        }
        let folder = Path::new(&model.checkpoint).iter().take(2).collect::<PathBuf>();
        let files: Vec<(PathBuf, String)> = model
            .files
            .iter()
            .filter_map(|file| {
                let place = Path::new(&file.path).strip_prefix(&folder).ok()?.to_str()?;
                Some((source.root().join(&file.path), place.to_owned()))
            })
            .collect();
        let copy = self.copy_model(model.id, &files)?;
        let moved = |path: &str| {
            let rest = Path::new(path).strip_prefix(&folder).ok().and_then(Path::to_str).unwrap_or_default();
            format!("{}/{rest}", copy.folder)
        };
        let mut taken = model.clone();
        taken.checkpoint = moved(&model.checkpoint);
        taken.adapter = model.adapter.as_deref().map(moved);
        if let Architecture::Regulatory(regulatory) = &mut taken.architecture {
            regulatory.targets_file = regulatory.targets_file.as_deref().map(moved);
        }
        taken.files = copy.files;
        if source.copy_damage(model).is_some()
            || taken.files.iter().zip(&model.files).any(|(a, b)| a.sha256 != b.sha256)
        {
            return Err(StoreError::Conflict {
                kind: "model",
                name: model.name.clone(),
                reason: "its files are damaged; add it again with --copy".to_owned(),
            });
        }
        Ok(taken)
    }
}

//! Takes a track out of a store, or some of its rows.

use vestore_schema::{Run, Segment, Status, Track, UNRECORDED_RUN};

use super::Writer;
use super::error::StoreError;
use super::reports::FIDELITY;
use crate::query::Filter;

impl Writer {
    /// Takes a track and its segments out of the store; gives the number of rows. Its files stay for a grace
    /// period, for readers of older snapshots. Its fidelity goes too; the records of its runs stay.
    ///
    /// # Errors
    /// When there is no such track, or the system refuses.
    pub fn remove_track(&mut self, name: &str) -> Result<u64, StoreError> {
        let targets = self.track(name)?.targets;
        let mut others = self.store().snapshot()?.tracks.into_iter().filter(|track| track.name != name);
        let unnamed = targets.filter(|targets| !others.any(|other| other.targets == Some(*targets)));
        let segments = self.segments_of(name)?;
        let older = self.store().catalog.read(|catalog| catalog.older_reports())?;
        self.replace(&[], &segments, |catalog| {
            catalog.remove_track(name)?;
            if let Some(targets) = unnamed {
                catalog.remove_targets(&targets.names)?;
            }
            catalog.move_older_reports(&older)?;
            catalog.remove_report(FIDELITY, name)
        })?;
        Ok(segments.iter().map(|segment| segment.rows).sum())
    }

    /// Takes the rows out of a track that one run committed, in every table; gives their number. The track and the
    /// record of the run stay.
    ///
    /// # Errors
    /// When there is no such track or run of it, when its rows cannot be told from those of other runs, or the
    /// system refuses.
    pub fn remove_run(&mut self, name: &str, number: u64) -> Result<u64, StoreError> {
        self.track(name)?;
        let runs = self.store().runs()?;
        let run = runs.iter().find(|run| run.number == number);
        let Some(run) = run.filter(|run| run.track == name) else {
            return Err(StoreError::RunOfTrack {
                track: name.to_owned(),
                run: number,
                of: run.map(|run| run.track.clone()),
                known: runs.iter().filter(|run| run.track == name).map(|run| run.number).collect(),
            });
        };
        let segments = self.segments_of(name)?;
        let (of_run, others): (Vec<&Segment>, Vec<&Segment>) =
            segments.iter().partition(|segment| segment.runs.contains(&number));
        let mut with: Vec<u64> = of_run.iter().flat_map(|segment| &segment.runs).copied().collect();
        let unrecorded =
            |segment: &&Segment| segment.runs.is_empty() || segment.runs.contains(&UNRECORDED_RUN);
        if of_run.is_empty() && run.rows > 0 && others.iter().any(unrecorded) {
            with.push(UNRECORDED_RUN);
        }
        with.retain(|other| *other != number);
        with.sort_unstable();
        with.dedup();
        if !with.is_empty() {
            return Err(StoreError::SharedRun { track: name.to_owned(), run: number, with });
        }
        let of_run: Vec<Segment> = of_run.into_iter().cloned().collect();
        let mut run = Run::clone(run);
        run.remarks.push("its rows were removed".to_owned());
        self.replace(&[], &of_run, |catalog| catalog.put_run(&run))?;
        Ok(of_run.iter().map(|segment| segment.rows).sum())
    }

    /// Takes the rows of one status out of a track, in every table; gives their number. The track stays.
    ///
    /// # Errors
    /// When there is no such track or it has no such row, or the system refuses.
    pub fn remove_status(&mut self, name: &str, status: Status) -> Result<u64, StoreError> {
        let track = self.track(name)?;
        let segments = self.segments_of(name)?;
        let old: Vec<Segment> =
            segments.iter().filter(|segment| segment.statuses.contains_key(&status)).cloned().collect();
        if old.is_empty() {
            let mut known: Vec<Status> =
                segments.iter().flat_map(|segment| segment.statuses.keys()).copied().collect();
            known.sort_unstable();
            known.dedup();
            return Err(StoreError::NoStatus { track: name.to_owned(), status, known });
        }
        let others = format!("status != '{status}'");
        let others = Filter::parse(&others).expect("a status is a plain word; this is a bug");
        let models = self.store().snapshot()?.models;
        let model = models.iter().find(|model| model.name == track.model);
        let mut new = Vec::new();
        for segment in old.chunks(1) {
            new.extend(self.rewrite(&track, model, segment, Some(&others), u64::MAX, |_| {})?);
        }
        self.replace(&new, &old, |_| Ok(()))?;
        let rows = |segments: &[Segment]| segments.iter().map(|segment| segment.rows).sum::<u64>();
        Ok(rows(&old) - rows(&new))
    }

    /// The track of a name.
    fn track(&self, name: &str) -> Result<Track, StoreError> {
        self.store().snapshot()?.track(name).cloned()
    }

    fn segments_of(&self, track: &str) -> Result<Vec<Segment>, StoreError> {
        let mut segments = self.store().all_segments()?;
        segments.retain(|segment| segment.track == track);
        Ok(segments)
    }
}

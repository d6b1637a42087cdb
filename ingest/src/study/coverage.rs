//! Studies of regulatory models that are transferred to coverage: their copies, cheaper rankings of their blocks, and what
//! can be predicted without them.

use std::cell::OnceCell;
use std::f64::consts::PI;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tch::{Device, Kind, TchError, Tensor};
use vestore::{GeneTable, Reference, Store};
use vestore_schema::Model;

use super::ranking::LayerRanking;
use super::subject::{StudySubject, StudyTraining};
use crate::checkpoint::ModelSource;
use crate::convert::dimension;
use crate::coverage::{CoverageError, CoverageInput, KmerBaseline, KmerSums};
use crate::dataset::Split;
use crate::encoder::token_movement;
use crate::progress::Progress;
use crate::regulatory::{Trunk, WindowState};
use crate::train::{
    Finetuned, FolderLock, LossPoint, TrainError, TransferData, TransferPlan, TransferRun, TuningResult,
    check_own, coverage_figures, coverage_loss, transfer_collected, transfer_identity, transfer_metrics,
    transfer_record,
};

/// Windows that blocks are ranked on, at most.
const WINDOWS: usize = 32;

/// Coverage that the copies of a study learn.
pub struct CoverageSubject<'a> {
    input: CoverageInput<'a>,
    /// What was measured, once it is collected, in a folder that is locked to this process.
    collected: OnceCell<(TransferData<'a>, FolderLock)>,
    /// The table of targets.
    targets: &'a Path,
    /// Genes whose expression is compared on held-out windows.
    genes: Option<&'a GeneTable>,
    /// What identifies the data.
    identity: Value,
}

/// The folder of what was collected, below that of the study.
const FOLDER: &str = "coverage";

impl<'a> CoverageSubject<'a> {
    /// What copies learn of what `input` names, which is not collected yet.
    ///
    /// # Errors
    /// When the blacklist cannot be read.
    pub fn new(
        input: CoverageInput<'a>,
        targets: &'a Path,
        genes: Option<&'a GeneTable>,
    ) -> Result<Self, TrainError> {
        let identity = transfer_identity(&input)?;
        Ok(Self { input, collected: OnceCell::new(), targets, genes, identity })
    }

    /// Collects it in `coverage/` of the folder `output`, or finds it there; `false` when it was interrupted.
    ///
    /// # Errors
    /// The folder holds something else, another process has it, or what was measured cannot be read.
    pub fn collect(
        &self,
        reference: Reference,
        output: &Path,
        interrupted: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<bool, TrainError> {
        let folder = output.join(FOLDER);
        check_own(output, &folder, |name| name == "lock" || name.starts_with("coverage."))?;
        let lock = FolderLock::take(output, &folder)?;
        let data = match TransferData::collect(&self.input, reference, &folder, interrupted, progress) {
            Err(CoverageError::Interrupted) => return Ok(false),
            data => data?,
        };
        let set = self.collected.set((data, lock)).is_ok();
        assert!(set, "coverage is collected once; this is a bug");
        Ok(true)
    }

    /// Removes what was collected.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn discard(self) -> Result<(), TrainError> {
        if let Some((data, _lock)) = self.collected.into_inner() {
            data.remove()?;
        }
        Ok(())
    }

    fn data(&self) -> &TransferData<'a> {
        let Some((data, _)) = self.collected.get() else {
            panic!("coverage is collected before anything is trained; this is a bug")
        };
        data
    }

    /// Counts of k-mers and values over the windows of a split.
    fn kmer_sums(&self, split: Split) -> Result<KmerSums, TrainError> {
        let CoverageInput { targets, layout, .. } = self.input;
        let mut sums = KmerSums::new(targets.count(), layout, None);
        for place in self.data().of(split) {
            sums.add(&self.data().letters(place)?, &self.data().values(place)?);
        }
        Ok(sums)
    }

    fn split_sizes(&self) -> [usize; 3] {
        [Split::Training, Split::Validation, Split::Test].map(|split| self.input.sequences.of(split).count())
    }
}

impl StudySubject for CoverageSubject<'_> {
    type Plan = TransferPlan;

    fn seeded(plan: &TransferPlan, seed: u64) -> TransferPlan {
        TransferPlan { seed, ..plan.clone() }
    }

    fn method(plan: &TransferPlan) -> &'static str {
        plan.method.as_str()
    }

    fn compared(plan: &TransferPlan) -> Value {
        json!({ "method": plan.method, "learning_rate": plan.learning_rate })
    }

    fn identity(&self) -> Map<String, Value> {
        let genes = self.genes.map(GeneTable::digest);
        [
            ("task", json!("coverage")),
            ("data", self.identity.clone()),
            ("rows", json!(self.rows())),
            ("genes", json!(genes)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
    }

    fn rows(&self) -> [u64; 3] {
        self.split_sizes().map(|windows| windows as u64)
    }

    fn metrics(&self) -> Vec<String> {
        transfer_metrics()
    }

    fn train(&self, plan: &TransferPlan, run: StudyTraining<'_>) -> Result<Option<Finetuned>, TrainError> {
        let StudyTraining { source, output, device, save_every, interrupted, progress } = run;
        let (targets, genes) = (self.targets, self.genes);
        let run =
            TransferRun { source, targets, merge: false, genes, device, save_every, interrupted, progress };
        Ok(transfer_collected(plan, self.data(), output, &run)?.map(|found| found.finetuned))
    }

    fn record(
        &self,
        store: &Store,
        name: &str,
        parent: &Model,
        output: &Path,
        plan: &TransferPlan,
    ) -> Result<Model, TrainError> {
        transfer_record(store, name, parent, output, plan, self.input.targets, &self.identity)
    }

    /// What is lost, and how far tokens move, by block, on at most 32 of the validation windows:
    ///
    /// - ablation: the mean magnitude by which predictions change when the block is skipped;
    /// - block influence and angular distance: as for encoders, over tokens of the transformer.
    fn rankings(
        &self,
        source: &ModelSource,
        plan: &TransferPlan,
        device: Device,
    ) -> Result<Vec<LayerRanking>, TrainError> {
        let trunk = Trunk::load(source, plan.head, None, Kind::Float, device)?;
        let depth = trunk.depth();
        let mut sums = vec![[0.0; 3]; depth];
        let windows = self.data().of(Split::Validation);
        let windows = &windows[..windows.len().min(WINDOWS)];
        for place in windows {
            let bases = self.data().one_hot(*place, device)?;
            let through = |skipped: Option<usize>| -> Result<(Tensor, Vec<WindowState>), TchError> {
                let mut states = vec![trunk.begin(&bases)?];
                for block in (0..depth).filter(|block| Some(*block) != skipped) {
                    let next = trunk.block(block, &states[states.len() - 1], None)?;
                    states.push(next);
                }
                Ok((trunk.profile(&states[states.len() - 1], plan.bins)?, states))
            };
            let (whole, states) = through(None)?;
            for (block, sums) in sums.iter_mut().enumerate() {
                let (without, _) = through(Some(block))?;
                let change = without.f_sub(&whole)?.f_abs()?.f_mean(Kind::Double)?.f_double_value(&[])?;
                let [cosine, angle] = token_movement(&states[block].hidden, &states[block + 1].hidden)?;
                let mean = |tensor: &Tensor| tensor.f_mean(Kind::Double)?.f_double_value(&[]);
                *sums = [sums[0] + change, sums[1] + mean(&cosine)?, sums[2] + mean(&angle)?];
            }
        }
        let count = windows.len() as f64;
        let values = |of: &dyn Fn(&[f64; 3]) -> f64| -> Vec<f64> { sums.iter().map(of).collect() };
        Ok(vec![
            LayerRanking {
                name: "ablation",
                values: values(&|sums| sums[0] / count),
                note: "mean change of predictions without the block",
            },
            LayerRanking {
                name: "block influence",
                values: values(&|sums| 1.0 - sums[1] / count),
                note: "1 - mean cosine of tokens before and after the block",
            },
            LayerRanking {
                name: "angular distance",
                values: values(&|sums| sums[2] / count / PI),
                note: "mean angle of tokens before and after the block, as a share of a half turn",
            },
        ])
    }

    /// Ridge regression on counts of k-mers, which a transferred model has to surpass.
    const REFERENCES: &'static [&'static str] = &["k-mer ridge"];

    fn reference(&self, _: &str, plan: &TransferPlan) -> Result<Option<Finetuned>, TrainError> {
        let started = Instant::now();
        let [training, validation] = [Split::Training, Split::Validation].map(|split| self.kmer_sums(split));
        let Some(baseline) = KmerBaseline::fit(&training?, &validation?) else { return Ok(None) };
        let seconds = started.elapsed().as_secs_f64();
        let evaluated = Instant::now();
        let shape = [dimension(self.input.targets.count()), -1];
        let predict = |place: usize| -> Result<Tensor, TrainError> {
            let predicted = baseline.predict(&self.data().letters(place)?);
            Ok(Tensor::f_from_slice(&predicted)?.f_view(shape)?)
        };
        let means = |split| -> Result<_, TrainError> {
            let figures = coverage_figures(self.data(), split, None, predict)?;
            Ok(figures.map(|figures| figures.means()).unwrap_or_default())
        };
        let (validation_figures, test_figures) = (means(Split::Validation)?, means(Split::Test)?);
        let loss = coverage_loss(self.data(), Split::Validation, plan.total_weight, predict)?;
        let parameters = baseline.parameters();
        let tuning = TuningResult {
            parameters,
            trained_parameters: parameters,
            steps: 0,
            best: LossPoint { step: 0, loss },
            losses: Vec::new(),
            validation: Vec::new(),
            seconds,
            seconds_per_step: 0.0,
            peak_memory: None,
        };
        let evaluation_seconds = evaluated.elapsed().as_secs_f64();
        let found = Finetuned { tuning, validation_figures, test_figures, evaluation_seconds };
        Ok(Some(found))
    }
}

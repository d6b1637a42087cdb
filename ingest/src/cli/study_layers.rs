//! `vestore study layers`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::check_output_folder;
use vestore_ingest::{
    LayerStudy, LayerStudyEvent, LayerStudyOptions, StudyError, TuningMethod, check_layers, check_study_name,
};

use super::finetune::shown;
use super::machine::MachineArguments;
use super::progress::Bar;
use super::tuning::{DataArguments, TuningArguments, methods, model};
use super::{interrupt, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the study in the store; the same command continues it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The model whose layers are studied
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Folder for the models that are kept: the baseline, the derived ones, one of each compared method
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    tuning: TuningArguments,
    /// Which weights are trained in every copy
    #[arg(long, default_value = "full", value_parser = methods())]
    method: TuningMethod,
    /// Also tune the whole model by these methods, at their own default learning rates
    #[arg(long, value_name = "METHOD", value_delimiter = ',', value_parser = methods())]
    compare: Vec<TuningMethod>,
    /// Copies of each, by seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    #[command(flatten)]
    machine: MachineArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    check_study_name(&arguments.name)?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let store = arguments.data.reference.open(&arguments.store)?;
    let parent = model(&store, &arguments.model)?;
    check_layers(&parent)?;
    let inputs: Vec<PathBuf> = arguments.data.inputs().collect();
    check_output_folder(&arguments.output, &inputs)?;
    let windows = arguments.data.read(&store, &parent)?;
    let options = LayerStudyOptions {
        name: &arguments.name,
        plan: arguments.tuning.plan(&arguments.method, 1),
        compared: arguments.compare.iter().map(|method| arguments.tuning.compared(method, 1)).collect(),
        drops: true,
        seeds: arguments.seeds,
        output: &arguments.output,
        device,
        interrupted: interrupted.flag(),
        progress: &Bar::new(arguments.machine.quiet),
    };
    let mut study = LayerStudy::open(&store, writer(&store)?, &parent, &windows, options).map_err(cause)?;
    if study.is_finished() {
        say(format_args!("study `{}` is finished; nothing is left to train", arguments.name));
        return Ok(ExitCode::SUCCESS);
    }
    if study.run(&mut |event| tell(event)).map_err(cause)? {
        say(format_args!(
            "`vestore study report {} {} -o report.html` writes the report",
            arguments.store.display(),
            arguments.name
        ));
        Ok(ExitCode::SUCCESS)
    } else {
        say(format_args!("stopped; the same command continues after the last whole training"));
        Ok(interrupt::code())
    }
}

/// The cause of a study's error, which decides its exit code and remedy.
pub(super) fn cause(error: StudyError) -> anyhow::Error {
    match error {
        StudyError::Store(error) => error.into(),
        StudyError::Train(error) => error.into(),
        error => error.into(),
    }
}

pub(super) fn tell(event: &LayerStudyEvent<'_>) {
    match event {
        LayerStudyEvent::Trained { run, figures, done, planned } => {
            let figures: Vec<String> = figures.iter().map(shown).collect();
            say(format_args!(
                "{}, seed {}: validation {}; {} steps in {:.0} s ({done} of {planned} trainings)",
                run.variation,
                run.seed,
                figures.join(", "),
                run.steps,
                run.training_seconds,
            ));
        }
        LayerStudyEvent::AllUnfavourable => say(format_args!(
            "every layer is unfavourable: the derived model keeps the most important one alone"
        )),
        LayerStudyEvent::NotDerived { variation, empty } => {
            say(format_args!(
                "{variation}: {}",
                if *empty { "no layer is left" } else { "all layers are left" }
            ));
        }
    }
}

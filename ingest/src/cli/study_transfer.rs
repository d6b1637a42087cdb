//! `vestore study transfer`, and `vestore study layers` of a regulatory model.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use vestore::check_output_folder;
use vestore_ingest::{
    CoverageSubject, LayerStudy, LayerStudyOptions, TransferPlan, check_layers, check_study_name,
    check_transfer, source_of,
};

use super::machine::MachineArguments;
use super::progress::Bar;
use super::splice::table as gene_table;
use super::study_layers::{cause, tell};
use super::transfer::{DataArguments, Method, Settings, methods};
use super::tuning::model;
use super::{interrupt, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the study in the store; the same command continues it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The regulatory model that is transferred
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Folder for the models that are kept: the first copy of each method, and of each derived model
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    settings: Settings,
    /// The method that the others are compared with
    #[arg(long, default_value = "full", value_parser = methods())]
    method: Method,
    /// The other methods; by default all, or none with --layers
    #[arg(long, value_name = "METHOD", value_delimiter = ',', value_parser = methods())]
    compare: Vec<Method>,
    /// Also train without each transformer block in turn, and derive smaller models
    #[arg(long)]
    layers: bool,
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
    let data = &arguments.data;
    let store = data.open(&arguments.store)?;
    let parent = model(&store, &arguments.model)?;
    if arguments.layers {
        check_layers(&parent)?;
    }
    check_output_folder(&arguments.output, &data.inputs())?;
    let (plan, compared) = arguments.plans();
    let Some(collected) = data.read(&store, &parent, interrupted.flag())? else { return Ok(stopped()) };
    let input = collected.input(&store);
    for plan in compared.iter().chain([&plan]) {
        check_transfer(plan, &input, &source_of(&store, &parent))?;
    }
    let genes = data.genes.as_ref().map(|file| gene_table(file, &store)).transpose()?;
    let subject = CoverageSubject::new(input, &data.targets, genes.as_ref())?;
    let progress = &Bar::new(arguments.machine.quiet);
    let options = LayerStudyOptions {
        name: &arguments.name,
        plan,
        compared,
        drops: arguments.layers,
        seeds: arguments.seeds,
        output: &arguments.output,
        device,
        interrupted: interrupted.flag(),
        progress,
    };
    let mut study = LayerStudy::open(&store, writer(&store)?, &parent, &subject, options).map_err(cause)?;
    if study.is_finished() {
        say(format_args!("study `{}` is finished; nothing is left to train", arguments.name));
        return Ok(ExitCode::SUCCESS);
    }
    let reference = store.open_reference()?;
    if !subject.collect(reference, &arguments.output, interrupted.flag(), progress)? {
        return Ok(stopped());
    }
    if !study.run(&mut |event| tell(event)).map_err(cause)? {
        return Ok(stopped());
    }
    drop(study);
    subject.discard()?;
    say(format_args!(
        "`vestore study report {} {} -o report.html` writes the report",
        arguments.store.display(),
        arguments.name
    ));
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// The plan of the baseline, and those of the other methods. One learning rate, if given, is for all.
    fn plans(&self) -> (TransferPlan, Vec<TransferPlan>) {
        let others = if self.compare.is_empty() && !self.layers { &Method::ALL[..] } else { &self.compare };
        let plan = |method: Method| self.settings.plan(method, self.data.bins, 1);
        (
            plan(self.method),
            others.iter().filter(|method| **method != self.method).map(|method| plan(*method)).collect(),
        )
    }
}

fn stopped() -> ExitCode {
    say(format_args!("stopped; the same command continues after the last whole training"));
    interrupt::code()
}

/// `study layers` with a table of targets is `study transfer --layers`: the layers are those of a regulatory model.
pub(super) fn renamed(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let is = |place: usize, word: &str| arguments.get(place).is_some_and(|found| found == word);
    let targets = |argument: &OsString| {
        argument.to_str().is_some_and(|text| text == "--targets" || text.starts_with("--targets="))
    };
    if is(1, "study") && is(2, "layers") && arguments.iter().any(targets) {
        arguments.splice(2..3, ["transfer", "--layers"].map(OsString::from));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_with_targets_are_those_of_a_regulatory_model() {
        let renamed =
            |text: &str| renamed(text.split(' ').map(OsString::from)).join(OsString::from(" ").as_os_str());
        assert_eq!(renamed("v study layers s --targets t"), "v study transfer --layers s --targets t");
        assert_eq!(renamed("v study layers s --labels t"), "v study layers s --labels t");
        assert_eq!(renamed("v score s --targets=t"), "v score s --targets=t");
    }
}

//! `vestore study`

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use vestore::{
    FigureFile, LayerVerdict, Output, OutputRules, Store, Study, StudyRun, Variation, study_figure,
    study_report,
};

use super::engine;
use super::output::inputs;
use super::shared::{ListFormat, print, say, writer};

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// Fine-tune without each layer in turn, report which layers matter, and derive smaller models
    #[command(disable_help_flag = true)]
    Layers(engine::Arguments),
    /// Measure the loss of masked language models on held-out DNA, beside models that count contexts
    #[command(disable_help_flag = true)]
    Loss(engine::Arguments),
    /// Write log-odds of SNVs from counts of contexts, as a baseline score
    #[command(disable_help_flag = true)]
    Context(engine::Arguments),
    /// Pretrain with all ingredients of a recipe and without each in turn, and report what each is worth
    #[command(disable_help_flag = true)]
    Pretrain(engine::Arguments),
    /// Transfer a regulatory model by several methods under one budget, and compare them
    #[command(disable_help_flag = true)]
    Transfer(engine::Arguments),
    /// List studies of layers and methods
    List(ListArguments),
    /// Show the runs and verdicts of a study of layers or methods
    Show(ShowArguments),
    /// Write the report of a study of layers or methods as one self-contained HTML file
    Report(ReportArguments),
    /// Remove a study of layers or methods and its runs
    Remove(Named),
}

#[derive(clap::Args)]
pub(super) struct Named {
    /// Folder of the store
    store: PathBuf,
    /// Name of the study
    name: String,
}

#[derive(clap::Args)]
pub(super) struct ListArguments {
    /// Folder of the store
    store: PathBuf,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

#[derive(clap::Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    study: Named,
    /// Print in this format; `tsv` has one row per run, with the verdict on its layer
    #[arg(long, value_enum, default_value_t = ShowFormat::Table)]
    format: ShowFormat,
    /// Draw the importance of each layer too, or of a study of methods the first metric of each: an SVG or PNG, by the
    /// extension of the file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Overwrite the plot if it exists
    #[arg(long, requires = "plot")]
    force: bool,
}

#[derive(clap::Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    study: Named,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

/// How a study is written.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ShowFormat {
    Table,
    Tsv,
    Json,
}

pub(super) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let to_engine = |verb: &str, arguments: engine::Arguments| {
        engine::run(&[OsString::from("study"), verb.into()], arguments.rest)
    };
    match verb {
        Verb::Layers(arguments) => return to_engine("layers", arguments),
        Verb::Loss(arguments) => return to_engine("loss", arguments),
        Verb::Context(arguments) => return to_engine("context", arguments),
        Verb::Pretrain(arguments) => return to_engine("pretrain", arguments),
        Verb::Transfer(arguments) => return to_engine("transfer", arguments),
        Verb::List(arguments) => list(&arguments)?,
        Verb::Show(arguments) => show(&arguments)?,
        Verb::Report(arguments) => report(&arguments)?,
        Verb::Remove(arguments) => {
            let store = Store::open(&arguments.store)?;
            let runs = writer(&store)?.remove_study(&arguments.name)?;
            say(format_args!("study {} removed with {runs} runs", arguments.name));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(arguments: &ListArguments) -> anyhow::Result<()> {
    let store = Store::open(&arguments.store)?;
    let studies = store.studies()?;
    if arguments.format == ListFormat::Json {
        return Ok(print(format_args!("{}", serde_json::to_string_pretty(&studies)?))?);
    }
    print(format_args!(
        "{:<24}  {:<24}  {:>6}  {:>6}  {:<8}  metrics",
        "name", "model", "layers", "runs", "state"
    ))?;
    for study in &studies {
        let runs = store.study_runs(&study.name)?.len();
        let state = if study.finished.is_some() { "finished" } else { "open" };
        print(format_args!(
            "{:<24}  {:<24}  {:>6}  {runs:>6}  {state:<8}  {}",
            study.name,
            study.model,
            study.layers.len(),
            study.metrics.join(",")
        ))?;
    }
    Ok(())
}

fn report(arguments: &ReportArguments) -> anyhow::Result<()> {
    let store = Store::open(&arguments.study.store)?;
    let study = store.study(&arguments.study.name)?;
    let inputs = inputs(&store, []);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let mut out = Output::create(arguments.output.as_deref(), &rules)?;
    let html = study_report(&study, &store.study_runs(&study.name)?);
    out.write_all(html.as_bytes())?;
    out.finish()?;
    if let Some(path) = &arguments.output {
        say(format_args!("report written to {}", path.display()));
    }
    Ok(())
}

fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let store = Store::open(&arguments.study.store)?;
    let study = store.study(&arguments.study.name)?;
    let inputs = inputs(&store, []);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let plot = arguments.plot.as_deref().map(|path| FigureFile::create(path, &rules)).transpose()?;
    let runs = store.study_runs(&study.name)?;
    match arguments.format {
        ShowFormat::Table => table(&study, &runs)?,
        ShowFormat::Tsv => tsv(&study, &runs)?,
        ShowFormat::Json => {
            let whole = json!({ "study": study, "runs": runs });
            print(format_args!("{}", serde_json::to_string_pretty(&whole)?))?;
        }
    }
    if let (Some(path), Some(plot)) = (&arguments.plot, plot) {
        let svg = study_figure(&study, &runs).ok_or_else(|| {
            anyhow!(
                "nothing to draw of study `{}` yet; train its baseline and a layer or method first",
                study.name
            )
        })?;
        plot.write(&svg)?;
        say(format_args!("plot written to {}", path.display()));
    }
    Ok(())
}

/// A verdict in a word.
fn word(verdict: &LayerVerdict) -> &'static str {
    match (verdict.cornerstone, verdict.unfavourable) {
        (true, _) => "cornerstone",
        (_, true) => "unfavourable",
        _ => "-",
    }
}

fn table(study: &Study, runs: &[StudyRun]) -> anyhow::Result<()> {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"));
    let facts = [
        ("name", study.name.clone()),
        ("model", format!("{}, id {}", study.model, study.model_id)),
        ("plan", study.plan.to_string()),
        ("plan digest", study.plan_digest.to_string()),
        ("program", format!("{} on {}, {} threads", study.program, study.device, study.threads)),
        ("layers", study.layers.len().to_string()),
        ("state", if study.finished.is_some() { "finished" } else { "open" }.to_owned()),
    ];
    for (name, value) in facts {
        print(format_args!("{name:<16}{value}"))?;
    }
    let wide = |metric: &String| metric.len().max(9);
    let line = |cells: &[String], metrics: &[String], costs: [String; 3]| {
        let metrics: Vec<String> =
            study.metrics.iter().zip(metrics).map(|(name, cell)| format!("{cell:>0$}", wide(name))).collect();
        let [training, evaluation, memory] = costs;
        print(format_args!(
            "{:<20}  {:>6}  {:<8}  {:>6}  {:>12}  {}  {training:>10}  {evaluation:>10}  {memory:>12}",
            cells[0],
            cells[1],
            cells[2],
            cells[3],
            cells[4],
            metrics.join("  ")
        ))
    };
    print(format_args!(""))?;
    let titles = ["variation", "seed", "method", "layers", "trained"].map(str::to_owned);
    line(&titles, &study.metrics, ["training s", "evaluation s", "memory bytes"].map(str::to_owned))?;
    for run in runs {
        let cells = [
            run.variation.to_string(),
            run.seed.to_string(),
            run.method.clone(),
            run.kept_layers.len().to_string(),
            run.trained_parameters.to_string(),
        ];
        let metrics: Vec<String> = run.figures.iter().map(|figure| number(figure.value)).collect();
        let memory = run.peak_memory.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let costs =
            [format!("{:.3}", run.training_seconds), format!("{:.3}", run.evaluation_seconds), memory];
        line(&cells, &metrics, costs)?;
    }
    let Some(result) = &study.result else {
        return Ok(print(format_args!("\nno verdicts yet: runs are missing"))?);
    };
    print(format_args!("\n{:>6}  {:<14}  {:>12}  rankings", "layer", "verdict", "importance"))?;
    for verdict in &result.layers {
        let rankings: Vec<String> =
            verdict.rankings.iter().map(|ranking| format!("{} {:.6}", ranking.name, ranking.value)).collect();
        print(format_args!(
            "{:>6}  {:<14}  {:>12}  {}",
            verdict.layer,
            word(verdict),
            number(verdict.importance),
            rankings.join(", ")
        ))?;
    }
    for agreement in &result.agreement {
        let spearman = number(agreement.spearman);
        print(format_args!("Spearman with {:<16}{spearman:>12}  {}", agreement.name, agreement.note))?;
    }
    Ok(())
}

fn tsv(study: &Study, runs: &[StudyRun]) -> anyhow::Result<()> {
    // Names come from people and must not break lines.
    let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let mut titles: Vec<String> = [
        "variation",
        "seed",
        "method",
        "kept_layers",
        "parameters",
        "trained_parameters",
        "steps",
        "best_step",
        "validation_loss",
    ]
    .map(str::to_owned)
    .to_vec();
    for metric in &study.metrics {
        let metric = plain(metric);
        titles.extend([metric.clone(), format!("{metric}_low"), format!("{metric}_high")]);
    }
    titles.extend(study.metrics.iter().map(|metric| format!("validation_{}", plain(metric))));
    titles.extend(
        [
            "training_seconds",
            "evaluation_seconds",
            "seconds_per_step",
            "peak_memory",
            "rows_training",
            "rows_validation",
            "rows_test",
            "model",
            "importance",
            "verdict",
        ]
        .map(str::to_owned),
    );
    print(format_args!("{}", titles.join("\t")))?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for run in runs {
        let layers: Vec<String> = run.kept_layers.iter().map(|layer| layer.to_string()).collect();
        let mut cells = vec![
            plain(&run.variation.to_string()),
            run.seed.to_string(),
            plain(&run.method),
            layers.join(","),
            run.parameters.to_string(),
            run.trained_parameters.to_string(),
            run.steps.to_string(),
            run.best_step.to_string(),
            run.validation_loss.to_string(),
        ];
        cells.extend(
            run.figures.iter().flat_map(|figure| [figure.value, figure.low, figure.high].map(number)),
        );
        cells.extend(run.validation_figures.iter().map(|figure| number(figure.value)));
        cells.extend(
            [run.training_seconds, run.evaluation_seconds, run.seconds_per_step]
                .map(|value| value.to_string()),
        );
        cells.push(run.peak_memory.map_or_else(String::new, |bytes| bytes.to_string()));
        cells.extend(run.rows.map(|rows| rows.to_string()));
        cells.push(plain(run.model.as_deref().unwrap_or_default()));
        let verdict = match run.variation {
            Variation::Without { layer } => {
                let verdicts =
                    study.result.as_ref().map(|result| result.layers.as_slice()).unwrap_or_default();
                verdicts.iter().find(|verdict| verdict.layer == layer)
            }
            _ => None,
        };
        cells.push(number(verdict.and_then(|verdict| verdict.importance)));
        cells.push(verdict.map_or_else(String::new, |verdict| word(verdict).to_owned()));
        print(format_args!("{}", cells.join("\t")))?;
    }
    Ok(())
}

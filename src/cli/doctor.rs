//! `vestore doctor`: what scoring finds on this machine, and what to do about what it lacks.

mod gpu;
mod machine;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use self::gpu::Driver;
use self::machine::{Cache, Threads};
use super::engine;
use super::installation::Installation;
use super::libtorch::{self, Found};
use super::shared::{ListFormat, print_finding};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Everything that was found.
#[derive(Serialize)]
struct Findings {
    /// Whether a model can be run, on a CPU at least.
    can_score: bool,
    vestore: Program,
    engine: Program,
    installation: Installation,
    libtorch: Option<Libtorch>,
    driver: Driver,
    /// GPUs that the engine can use.
    usable_gpus: u64,
    threads: Threads,
    caches: Vec<Cache>,
    /// What is missing, and the remedy.
    remedies: Vec<String>,
}

/// One of the two programs.
#[derive(Serialize)]
struct Program {
    path: PathBuf,
    /// Missing where it does not run.
    version: Option<String>,
}

/// The libraries that the engine gets.
#[derive(Serialize)]
struct Libtorch {
    folder: PathBuf,
    version: Option<String>,
    /// Why these and no others.
    rule: &'static str,
    /// Whether the libraries for GPUs lie there too.
    cuda: bool,
}

impl Libtorch {
    fn of(found: &Found) -> Self {
        Self {
            folder: found.folder.clone(),
            version: machine::libtorch_version(&found.folder),
            rule: found.rule,
            cuda: found.has_cuda(),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let found = findings()?;
    match arguments.format {
        ListFormat::Json => print_finding(format_args!("{}", serde_json::to_string_pretty(&found)?))?,
        ListFormat::Table => table(&found)?,
    }
    Ok(if found.can_score { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings() -> anyhow::Result<Findings> {
    let mut remedies = Vec::new();
    let own = Some(env!("CARGO_PKG_VERSION").to_owned());
    let vestore = Program { path: std::env::current_exe()?, version: own };
    let mut engine = Program { path: engine::place()?, version: None };
    let programs = engine::folder(&engine.path);
    let installation = Installation::of(programs);
    let libtorch = match libtorch::find(programs) {
        Ok(found) => Some(Libtorch::of(&found)),
        Err(error) => {
            remedies.push(error.to_string());
            None
        }
    };
    let mut reported = Value::Null;
    if !engine.path.is_file() {
        remedies.push(format!("the engine is missing: {}", installation.engine()));
    } else if libtorch.is_some() {
        match engine::asked("doctor") {
            Ok(answer) => reported = answer,
            Err(error) => remedies.push(format!("the engine does not run: {error:#}")),
        }
    }
    engine.version = reported["version"].as_str().map(str::to_owned);
    if engine.version.is_some() && engine.version != vestore.version {
        remedies.push(format!("the programs are of different versions: {}", installation.engine()));
    }
    let driver = Driver::find();
    let usable_gpus = reported["gpus"].as_u64().unwrap_or(0);
    let cuda = libtorch.as_ref().map(|found| found.cuda);
    if let Some(remedy) = driver.remedy(cuda, usable_gpus, &reported, installation) {
        remedies.push(remedy);
    }
    Ok(Findings {
        can_score: engine.version.is_some(),
        vestore,
        engine,
        installation,
        libtorch,
        driver,
        usable_gpus,
        threads: Threads::find(),
        caches: machine::caches(),
        remedies,
    })
}

fn table(found: &Findings) -> anyhow::Result<()> {
    let line = |name: &str, text: String| print_finding(format_args!("{name:<11}  {text}"));
    for (name, program) in [("vestore", &found.vestore), ("engine", &found.engine)] {
        let version = program.version.as_deref().unwrap_or("does not run");
        line(name, format!("{version}, {}", program.path.display()))?;
    }
    line("installed", found.installation.to_string())?;
    match &found.libtorch {
        Some(Libtorch { folder, version, rule, cuda }) => {
            let version = version.as_deref().unwrap_or("unknown version");
            line("libtorch", format!("{version}, {} ({rule})", folder.display()))?;
            let here = if *cuda { "beside it" } else { "missing: libtorch is for CPUs alone" };
            line("CUDA", here.to_owned())?;
        }
        None => line("libtorch", "missing".to_owned())?,
    }
    line("driver", found.driver.to_string())?;
    for gpu in &found.driver.gpus {
        line("GPU", gpu.to_string())?;
    }
    line("usable GPUs", found.usable_gpus.to_string())?;
    line("threads", found.threads.to_string())?;
    for cache in &found.caches {
        line("cache", cache.to_string())?;
    }
    for remedy in &found.remedies {
        print_finding(format_args!("\n{remedy}"))?;
    }
    Ok(())
}

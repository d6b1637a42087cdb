//! `vestore run`

use std::path::PathBuf;
use std::process::ExitCode;

use super::shared::{ListFormat, print};
use vestore::Store;
use vestore_schema::Run;

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List the runs that wrote rows, oldest first
    List(ListArguments),
    /// Show one run: what it wrote, with which program, where, and when
    Show(ShowArguments),
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
    /// Folder of the store
    store: PathBuf,
    /// Number of the run, as `vestore run list` prints it
    #[arg(value_name = "N")]
    number: u64,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List(arguments) => list(arguments)?,
        Verb::Show(arguments) => show(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(arguments: &ListArguments) -> anyhow::Result<()> {
    let runs = Store::open(&arguments.store)?.runs()?;
    if arguments.format == ListFormat::Json {
        return Ok(print(format_args!("{}", serde_json::to_string_pretty(&runs)?))?);
    }
    print(format_args!(
        "{:>6}  {:<40}  {:<12}  {:>12}  {:>13}  {:<20}  {:<20}  device",
        "number", "track", "table", "rows", "units", "started", "ended"
    ))?;
    for run in &runs {
        print(format_args!(
            "{:>6}  {:<40}  {:<12}  {:>12}  {:>13}  {:<20}  {:<20}  {}",
            run.number,
            run.track,
            run.table.as_str(),
            run.rows,
            units(run),
            utc(run.started),
            ended(run),
            run.device
        ))?;
    }
    Ok(())
}

fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let run = &Store::open(&arguments.store)?.run(arguments.number)?;
    if arguments.format == ListFormat::Json {
        return Ok(print(format_args!("{}", serde_json::to_string_pretty(run)?))?);
    }
    let mut lines = vec![
        ("number", run.number.to_string()),
        ("track", run.track.clone()),
        ("table", run.table.as_str().to_owned()),
        ("rows", run.rows.to_string()),
        ("units", units(run)),
        ("plan digest", run.plan.to_string()),
        ("program", run.program.clone()),
        ("device", run.device.clone()),
        ("threads", run.threads.to_string()),
        ("batch tokens", run.batch_tokens.map_or("-".to_owned(), |tokens| tokens.to_string())),
        ("started", utc(run.started)),
        ("ended", ended(run)),
    ];
    lines.extend(run.remarks.iter().map(|remark| ("remark", remark.clone())));
    for (name, value) in lines {
        print(format_args!("{name:<16}{value}"))?;
    }
    if !run.layers.is_empty() {
        print(format_args!(
            "\n{:>6}  {:>8}  {:>15}  {:>16}",
            "layer", "passes", "block influence", "angular distance"
        ))?;
    }
    for layer in &run.layers {
        print(format_args!(
            "{:>6}  {:>8}  {:>15.6}  {:>16.6}",
            layer.layer, layer.passes, layer.block_influence, layer.angular_distance
        ))?;
    }
    Ok(())
}

/// Units that it committed, of those of its plan.
fn units(run: &Run) -> String {
    format!("{} of {}", run.committed, run.units)
}

fn ended(run: &Run) -> String {
    run.finished.map_or_else(|| "interrupted".to_owned(), utc)
}

/// A Unix second as ISO 8601, in UTC.
fn utc(second: u64) -> String {
    let (days, rest) = (second / 86_400, second % 86_400);
    // Days from civil, Howard Hinnant: eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn seconds_become_dates() {
        // As `date -u -d @SECONDS +%FT%TZ` prints them.
        for (second, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(second), date);
        }
    }
}

//! `vestore model known`

use std::process::ExitCode;

use serde_json::{Map, Value};

use super::shared::print;

/// Published models that the engine reads: a header and a line a model. `-` is what a model does not have; nothing in
/// it is a guess.
const MODELS: &str = include_str!("known_models.tsv");
/// What is not known of a model.
const UNKNOWN: &str = "unknown";
/// What a model does not have.
const NONE: &str = "-";
/// Columns of numbers.
const NUMBERS: [&str; 3] = ["parameters", "window", "megabytes"];

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print in this format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Tsv,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match arguments.format {
        Format::Table => table()?,
        Format::Json => print(format_args!("{}", serde_json::to_string_pretty(&objects())?))?,
        Format::Tsv => print(format_args!("{}", MODELS.trim_end()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn lines() -> impl Iterator<Item = Vec<&'static str>> {
    MODELS.lines().map(|line| line.split('\t').collect())
}

/// Columns as wide as their longest cell, numbers on the right.
fn table() -> anyhow::Result<()> {
    let header = lines().next().unwrap_or_default();
    let width = |column: usize| lines().map(|cells| cells[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    for cells in lines() {
        let cell = |((cell, name), width): ((&&str, &&str), &usize)| {
            if NUMBERS.contains(name) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        let cells: Vec<String> = cells.iter().zip(&header).zip(&widths).map(cell).collect();
        print(format_args!("{}", cells.join("  ").trim_end()))?;
    }
    Ok(())
}

/// An object a model: without what it does not have, and null where it is not known.
fn objects() -> Vec<Value> {
    let header = lines().next().unwrap_or_default();
    let value = |name: &str, cell: &str| match cell {
        UNKNOWN => Value::Null,
        cell if NUMBERS.contains(&name) => cell.parse::<u64>().map_or(Value::Null, Value::from),
        cell => cell.into(),
    };
    let object = |cells: Vec<&str>| {
        let some = header.iter().zip(cells).filter(|(_, cell)| *cell != NONE);
        Value::Object(some.map(|(name, cell)| ((*name).to_owned(), value(name, cell))).collect::<Map<_, _>>())
    };
    lines().skip(1).map(object).collect()
}

#[cfg(test)]
mod tests {
    use vestore_schema::is_repository;

    use super::*;

    #[test]
    fn every_line_has_every_column_and_numbers_are_numbers() {
        let header = lines().next().unwrap();
        for cells in lines().skip(1) {
            assert_eq!(cells.len(), header.len(), "{cells:?}");
            for (name, cell) in header.iter().zip(&cells) {
                let open = [UNKNOWN, NONE].contains(cell);
                assert!(open || !NUMBERS.contains(name) || cell.parse::<u64>().is_ok(), "{name} {cell}");
            }
            assert!(cells[1] != "hub" || is_repository(cells[0]), "{cells:?}");
        }
    }
}

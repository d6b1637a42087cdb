//! The whole command line: the verbs of this program, and those of the engine as it describes them.

use clap::builder::{PossibleValue, PossibleValuesParser, Resettable, Str, StyledStr};
use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use serde_json::Value;

use super::engine;
use super::shared::say;

/// The whole command line. Without the engine, its verbs have no flags, and a remark says so.
pub(super) fn all() -> anyhow::Result<Command> {
    let own = super::Arguments::command();
    if !engine::is_installed()? {
        say(format_args!("vestore-ingest is not beside vestore; the flags of its verbs are left out"));
        return Ok(own);
    }
    Ok(merged(own, &engine::asked("verbs")?))
}

/// `own` with the verbs that it hands over (those that leave `--help` to the engine) replaced by the engine's.
fn merged(own: Command, engine: &Value) -> Command {
    if own.is_disable_help_flag_set() {
        return command(engine);
    }
    list(&engine["verbs"]).fold(own, |own, verb| match text(&verb["name"]) {
        Some(name) if own.find_subcommand(&name).is_some() => {
            own.mut_subcommand(name, |own| merged(own, verb))
        }
        _ => own,
    })
}

fn command(described: &Value) -> Command {
    let command = Command::new(text(&described["name"]).unwrap_or_default());
    let verbs: Vec<Command> = list(&described["verbs"]).map(self::command).collect();
    command
        .about(set::<StyledStr>(&described["about"]))
        .long_about(set::<StyledStr>(&described["long_about"]))
        .args(list(&described["arguments"]).map(argument))
        .subcommand_required(!verbs.is_empty())
        .subcommands(verbs)
}

fn argument(described: &Value) -> Arg {
    let repeats = described["repeats"] == true;
    let made = Arg::new(text(&described["id"]).unwrap_or_default())
        .long(set::<Str>(&described["long"]))
        .short(text(&described["short"]).and_then(|short| short.chars().next()))
        .help(set::<StyledStr>(&described["help"]))
        .long_help(set::<StyledStr>(&described["long_help"]))
        .required(described["required"] == true);
    if described["takes_value"] != true {
        return made.action(if repeats { ArgAction::Count } else { ArgAction::SetTrue });
    }
    let names: Vec<String> = list(&described["names"]).filter_map(text).collect();
    let possible = list(&described["possible"])
        .filter_map(|value| Some(PossibleValue::new(text(&value[0])?).help(set::<StyledStr>(&value[1]))));
    let possible: Vec<PossibleValue> = possible.collect();
    let hint = text(&described["hint"]).and_then(|hint| hint.parse().ok()).unwrap_or(ValueHint::Unknown);
    let made = made
        .action(if repeats { ArgAction::Append } else { ArgAction::Set })
        .value_hint(hint)
        .default_values(list(&described["defaults"]).filter_map(text));
    let made = if names.is_empty() { made } else { made.value_names(names) };
    if possible.is_empty() { made } else { made.value_parser(PossibleValuesParser::new(possible)) }
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn set<T: From<String>>(value: &Value) -> Resettable<T> {
    text(value).map(T::from).into()
}

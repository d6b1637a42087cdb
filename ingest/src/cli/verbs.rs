//! Describes this command line to `vestore`, whose completions and manual pages cover the verbs of both programs.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use serde_json::{Value, json};

pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    writeln!(io::stdout().lock(), "{}", described(command))?;
    Ok(ExitCode::SUCCESS)
}

fn described(command: &Command) -> Value {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    json!({
        "name": command.get_name(),
        "about": text(command.get_about()),
        "long_about": text(command.get_long_about()),
        "arguments": arguments.map(argument).collect::<Value>(),
        "verbs": verbs.map(described).collect::<Value>(),
    })
}

fn argument(argument: &Arg) -> Value {
    let names = argument.get_value_names().unwrap_or_default();
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let possible = argument.get_possible_values();
    let possible = possible.iter().filter(|value| !value.is_hide_set());
    json!({
        "id": argument.get_id().as_str(),
        "long": argument.get_long(),
        "short": argument.get_short(),
        "help": text(argument.get_help()),
        "long_help": text(argument.get_long_help()),
        "required": argument.is_required_set(),
        "takes_value": argument.get_action().takes_values(),
        "repeats": matches!(argument.get_action(), ArgAction::Append | ArgAction::Count),
        "names": names.iter().map(|name| name.as_str()).collect::<Value>(),
        "hint": format!("{:?}", argument.get_value_hint()),
        "defaults": defaults.collect::<Value>(),
        "possible": possible.map(|value| json!([value.get_name(), text(value.get_help())])).collect::<Value>(),
    })
}

fn text(styled: Option<&impl Display>) -> Option<String> {
    styled.map(ToString::to_string)
}

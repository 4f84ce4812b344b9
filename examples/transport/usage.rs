//! Bad usage, answered by one line and exit code 2.

use std::{fmt::Display, process};

use clap::{
    Parser,
    error::{ContextKind, ContextValue},
};

/// The options of this process. Bad ones end it with a line and exit code 2.
pub(crate) fn parse<Options: Parser>() -> Options {
    Options::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit(); // `--help` and `--version` are no mistakes.
        }
        let mut text = error.to_string();
        if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
            && let Some((address, _)) = argument.split_once('?')
        {
            text = text.replace(argument, address); // What follows may hold a seed.
        }
        let message = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<_> = message.split_whitespace().collect();
        bad_usage(words.join(" ").trim_start_matches("error: "))
    })
}

pub(crate) fn bad_usage(message: impl Display) -> ! {
    eprintln!("error: {message} (try --help)");
    process::exit(2)
}

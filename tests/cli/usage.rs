//! Help, and what is typed wrong.

use clap::Parser;
use rutter::cli::{self, Cli, Command};
use rutter::config::from::{self, Given, Peer};
use rutter::config::{Config, Settings};

use super::program::rutter;

#[test]
fn the_help_names_every_command() {
    let help = rutter(["--help"]).done();
    for word in [
        "serve",
        "config",
        "dump",
        "status",
        "reload",
        "refresh",
        "approve",
        "explain",
        "hash-password",
        "--log",
        "--version",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let version = rutter(["--version"]).done();
    assert_eq!(version, concat!("rutter ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// The commands below "Examples:", each on one line and split into words as a shell does.
fn examples(help: &str) -> Vec<Vec<String>> {
    let (_, rest) = help.split_once("Examples:\n").unwrap();
    let joined = rest.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let commands = lines.filter(|line| line.starts_with("rutter "));
    commands
        .map(|line| {
            let line = line.split(['>', '|']).next().unwrap();
            line.split_ascii_whitespace()
                .map(|word| word.trim_matches('\'').to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_example_of_the_help_means_something() {
    let mut seen = 0;
    for name in [
        "serve",
        "dump",
        "config check",
        "config show",
        "config from",
        "status",
        "reload",
        "refresh",
        "approve",
        "hash-password",
    ] {
        let help = rutter(name.split(' ').chain(["--help"])).done();
        for words in examples(&help) {
            seen += 1;
            let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
            match cli.command {
                Command::Serve(typed) => {
                    let mut settings = Settings::from(typed);
                    if settings.config.take().is_some() {
                        settings.demo = true;
                    }
                    let config = Config::new(&settings);
                    let (_, warnings) = config.unwrap_or_else(|e| panic!("{words:?}: {e}"));
                    assert!(warnings.is_empty(), "{words:?}: {warnings:?}");
                }
                Command::Dump(typed) => {
                    let from = typed.from.parse::<rutter::net::Endpoint>();
                    assert!(from.is_ok(), "{words:?}");
                }
                // Names and digests are for the server to know.
                Command::Status(_)
                | Command::Reload(_)
                | Command::Refresh(_)
                | Command::Approve(_) => {}
                Command::Config(cli::Config::From {
                    peer,
                    arguments,
                    env,
                    file,
                }) => {
                    let named = env.is_some() || file.is_some();
                    let peer = Peer::from_name(&peer).unwrap();
                    let given = Given {
                        arguments,
                        ..Given::default()
                    };
                    assert!(named || from::convert(peer, &given).is_ok(), "{words:?}");
                }
                // It asks for a password.
                Command::HashPassword(_) => {}
                // What they name is on another machine.
                Command::Config(_) => {}
                #[allow(unreachable_patterns, reason = "there will be more commands")]
                _ => panic!("{words:?}"),
            }
        }
    }
    assert!(seen >= 18, "{seen}");
}

#[test]
fn every_setting_of_the_help_is_known_with_its_default() {
    let help = rutter(["serve", "--help"]).done();
    let (_, settings) = help.split_once("Settings for --set").unwrap();
    let set: Vec<String> = settings
        .split_ascii_whitespace()
        .take_while(|word| *word != "environment")
        .filter(|word| word.contains('='))
        .map(str::to_owned)
        .collect();
    assert_eq!(set.len(), Config::scalar_keys().len() - 17, "{set:?}");
    let demo = Settings {
        demo: true,
        ..Settings::default()
    };
    let (defaults, _) = Config::new(&demo).unwrap();
    let (typed, _) = Config::new(&Settings { set, ..demo }).unwrap();
    assert_eq!(format!("{typed:?}"), format!("{defaults:?}"));
}

#[test]
fn what_is_typed_wrong_is_exit_code_2() {
    let wrong: &[(&[&str], &str)] = &[
        (&["sail"], "sail"),
        (&["serve", "--sauce", "x"], "--sauce"),
        (&["dump"], "ENDPOINT|FILE"),
        (&["dump", "x", "--output", "xml"], "xml"),
        (&["dump", "x", "--highest-version", "3"], "3"),
        (&["dump", "x", "--timeout", "0"], "0"),
        (&["dump", "x", "--timeout", "soon"], "soon"),
        (&["dump", ""], "empty"),
        (&["dump", "cache.example:323"], "tcp://cache.example:323"),
        (&["dump", "gopher://cache.example"], "gopher"),
        (&["dump", "ssh://a@127.0.0.1"], "--ssh-key"),
        (&["--log", "rutter=loud", "dump", "x"], "--log"),
    ];
    for (arguments, reason) in wrong {
        rutter(*arguments).fails_with(reason);
    }
    // Without a word it says what there is.
    let nothing = rutter::<&str>([]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(2), ""));
    assert!(nothing.err.contains("serve") && nothing.err.contains("dump"));
}

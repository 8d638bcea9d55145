//! The program: what was typed, then what it means, then an exit code.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rutter::cli::{self, Cli, Command};
use rutter::cmd::Answer;
use rutter::cmd::acquire::Expired;
use rutter::cmd::dump::{Form, Output};
use rutter::cmd::validate::{BadLines, Data};
use rutter::config::Settings;
use rutter::rtr::{Version, Versions};
use rutter::slurm::Reading;
use rutter::tools::dump::Request;
use rutter::tools::validate::AsSets;
use rutter::tools::verdicts::{self, Extent};
use rutter::{cmd, log};

/// The answer is no.
const NO: u8 = 1;

/// The answer could not be determined: usage, unreadable input, network.
const UNDETERMINED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::read();
    let done = log::start(&cli.log)
        .map_err(Into::into)
        .and_then(|()| run(cli.command));
    match done {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(NO),
        Ok(Answer::Undetermined) => ExitCode::from(UNDETERMINED),
        Err(error) => {
            eprintln!("rutter: {}", cmd::explain(&*error));
            ExitCode::from(UNDETERMINED)
        }
    }
}

fn run(command: Command) -> Result<Answer, Box<dyn Error>> {
    match command {
        Command::Serve(typed) => {
            let cli::Serve {
                demo,
                source,
                listen,
                allow,
                set,
            } = typed;
            cmd::serve::run(&Settings {
                demo,
                source,
                listen,
                allow,
                set,
            })?;
            Ok(Answer::Yes)
        }
        Command::Dump(typed) => {
            let highest = Version::from_octet(typed.highest_version).unwrap_or(Version::V2);
            let request = Request {
                from: typed.from.parse()?,
                versions: Versions::new(Version::V0, highest).unwrap_or(Versions::ALL),
                limit: Duration::from_secs(typed.timeout),
            };
            let form = match typed.output.as_str() {
                "csv" => Form::Csv,
                "table" => Form::Table,
                _ => Form::Json,
            };
            cmd::dump::run(
                &request,
                &Output {
                    form,
                    file: typed.file,
                },
            )?;
            Ok(Answer::Yes)
        }
        Command::Validate(typed) => cmd::validate::run(&validate(*typed)),
    }
}

fn validate(typed: cli::Validate) -> cmd::validate::Request {
    cmd::validate::Request {
        data: Data {
            from: Request {
                from: typed.vrps,
                versions: Versions::ALL,
                limit: Duration::from_secs(typed.timeout),
            },
            slurm: typed.slurm,
            reading: reading(typed.lenient),
            expired: if typed.keep_expired {
                Expired::Keep
            } else {
                Expired::Drop
            },
        },
        routes: typed.routes,
        lists: typed.file,
        as_sets: match typed.as_sets.as_str() {
            "none" => AsSets::None,
            _ => AsSets::Skip,
        },
        bad_lines: if typed.skip_bad {
            BadLines::Skip
        } else {
            BadLines::Fail
        },
        form: match typed.output.as_str() {
            "json" => verdicts::Form::Json,
            "csv" => verdicts::Form::Csv,
            _ => verdicts::Form::Table,
        },
        extent: if typed.summary {
            Extent::Summary
        } else {
            Extent::Routes
        },
    }
}

fn reading(lenient: bool) -> Reading {
    if lenient {
        Reading::Lenient
    } else {
        Reading::Strict
    }
}

//! The program: what was typed, then what it means, then an exit code.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rutter::cli::{Cli, Command};
use rutter::cmd::dump::{Form, Output};
use rutter::rtr::{Version, Versions};
use rutter::tools::dump::Request;
use rutter::{cmd, log};

/// The answer could not be determined: usage, unreadable input, network.
const UNDETERMINED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::read();
    let done = log::start(&cli.log)
        .map_err(Into::into)
        .and_then(|()| run(cli.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rutter: {}", cmd::explain(&*error));
            ExitCode::from(UNDETERMINED)
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Serve(typed) => cmd::serve::run(&typed.into()),
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
            )
        }
    }
}

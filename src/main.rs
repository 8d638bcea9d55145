//! The program: what was typed, then what it means, then an exit code.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rutter::cli::{self, Cli, Command};
use rutter::cmd::config::{Form, Words};
use rutter::cmd::dump::{self, Output};
use rutter::config::Settings;
use rutter::config::from::Peer;
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
        Ok(code) => code,
        Err(error) => {
            eprintln!("rutter: {}", cmd::explain(&*error));
            ExitCode::from(UNDETERMINED)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Serve(typed) => cmd::serve::run(&typed.into())?,
        Command::Config(typed) => return config(typed),
        Command::Dump(typed) => {
            let highest = Version::from_octet(typed.highest_version).unwrap_or(Version::V2);
            let request = Request {
                from: typed.from.parse()?,
                versions: Versions::new(Version::V0, highest).unwrap_or(Versions::ALL),
                limit: Duration::from_secs(typed.timeout),
            };
            let form = match typed.output.as_str() {
                "csv" => dump::Form::Csv,
                "table" => dump::Form::Table,
                _ => dump::Form::Json,
            };
            dump::run(
                &request,
                &Output {
                    form,
                    file: typed.file,
                },
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn config(typed: cli::Config) -> Result<ExitCode, Box<dyn Error>> {
    match typed {
        cli::Config::Check { file } => cmd::config::check(file),
        cli::Config::Show { file, set, output } => {
            let settings = Settings {
                config: Some(file),
                set,
                ..Settings::default()
            };
            let form = match output.as_str() {
                "json" => Form::Json,
                _ => Form::Toml,
            };
            cmd::config::show(&settings, form)
        }
        cli::Config::From {
            peer,
            env,
            file,
            arguments,
        } => cmd::config::from(&Words {
            peer: Peer::from_name(&peer).unwrap_or(Peer::StayRtr),
            arguments,
            environment: env,
            file,
        }),
    }
}

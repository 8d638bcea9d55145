//! The program: what was typed, then what it means, then an exit code.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rutter::cli::{self, Cli, Command};
use rutter::cmd::dump::Output;
use rutter::cmd::order::Order;
use rutter::cmd::{dump, status};
use rutter::config::Settings;
use rutter::config::from::Peer;
use rutter::rtr::{Version, Versions};
use rutter::tools::dump::Request;
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
        Command::Status(typed) => {
            let form = match typed.output.as_str() {
                "json" => status::Form::Json,
                _ => status::Form::Table,
            };
            return status::run(typed.control.path, form).map(answer);
        }
        Command::Reload(typed) => return order(typed.control, &Order::Reload),
        Command::Refresh(typed) => return order(typed.control, &Order::Refresh(typed.source)),
        Command::Approve(typed) => return order(typed.control, &Order::Approve(typed.digest)),
    }
    Ok(ExitCode::SUCCESS)
}

fn order(control: cli::Control, order: &Order) -> Result<ExitCode, Box<dyn Error>> {
    cmd::order::run(control.path, order).map(answer)
}

/// Yes or no, as an exit code.
fn answer(yes: bool) -> ExitCode {
    if yes {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    }
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
                "json" => cmd::config::Form::Json,
                _ => cmd::config::Form::Toml,
            };
            cmd::config::show(&settings, form)
        }
        cli::Config::From {
            peer,
            env,
            file,
            arguments,
        } => cmd::config::from(&cmd::config::Words {
            peer: Peer::from_name(&peer).unwrap_or(Peer::StayRtr),
            arguments,
            environment: env,
            file,
        }),
    }
}

//! The program: what was typed, then what it means, then an exit code.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rutter::cli::{self, Cli, Command};
use rutter::cmd::Answer;
use rutter::cmd::acquire::Expired;
use rutter::cmd::dump::Output;
use rutter::cmd::explain::Expert;
use rutter::cmd::order::Order;
use rutter::cmd::validate::{BadLines, Data};
use rutter::cmd::{dump, status};
use rutter::config::from::Peer;
use rutter::config::{Scheme, Settings, Verify};
use rutter::net::Endpoint;
use rutter::net::ssh::password::Cost;
use rutter::rtr::{Version, Versions};
use rutter::sign::key::Algorithm;
use rutter::slurm::{AspaOverlap, Reading};
use rutter::tools::check::Detail;
use rutter::tools::dump::Request;
use rutter::tools::path::{Question, Role};
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
                tls: typed.secure.tls(),
                ssh: typed.secure.ssh(),
            };
            let form = match typed.output.as_str() {
                "csv" => dump::Form::Csv,
                "bird" => dump::Form::Bird,
                "openbgpd" => dump::Form::Openbgpd,
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
        Command::Explain(typed) => return cmd::explain::run(&explain(*typed)).map(code),
        Command::Validate(typed) => return validate(*typed).map(code),
        Command::Slurm(cli::Slurm::Check(typed)) => {
            return cmd::slurm::check(&slurm_check(typed)).map(code);
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
        Command::Keygen(typed) => cmd::keygen::run(&keygen(typed))?,
        Command::Sign(typed) => cmd::sign::run(&cmd::sign::Request {
            document: typed.document,
            key: typed.key,
            valid: Duration::from_secs(typed.valid),
            gortr: typed.gortr,
            out: typed.out,
        })?,
        Command::Verify(typed) => {
            let request = cmd::verify::Request {
                what: typed.what.parse()?,
                verify: Verify {
                    keys: typed.key,
                    scheme: match typed.scheme.as_str() {
                        "gortr" => Scheme::Gortr,
                        _ => Scheme::Jws,
                    },
                },
                limit: Duration::from_secs(typed.timeout),
            };
            return cmd::verify::run(&request).map(code);
        }
        Command::HashPassword(typed) => cmd::hash_password::run(&cmd::hash_password::Request {
            user: typed.user,
            cost: Cost {
                memory_kib: typed.memory,
                passes: typed.passes,
                lanes: typed.lanes,
            },
        })?,
        Command::Approve(typed) => return order(typed.control, &Order::Approve(typed.digest)),
    }
    Ok(ExitCode::SUCCESS)
}

fn keygen(typed: cli::Keygen) -> cmd::keygen::Request {
    let algorithm = match typed.algorithm.as_str() {
        "eddsa" => Algorithm::EdDsa,
        _ => Algorithm::Es256,
    };
    match (typed.public_of, typed.out) {
        (Some(path), _) => cmd::keygen::Request::PublicOf(path),
        (None, out) => cmd::keygen::Request::Pair {
            private: out.unwrap_or_default(),
            public: typed.public,
            algorithm,
        },
    }
}

fn order(control: cli::Control, order: &Order) -> Result<ExitCode, Box<dyn Error>> {
    cmd::order::run(control.path, order).map(answer)
}

/// Yes or no, as an exit code.
fn answer(yes: bool) -> ExitCode {
    code(if yes { Answer::Yes } else { Answer::No })
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

fn code(answer: Answer) -> ExitCode {
    match answer {
        Answer::Yes => ExitCode::SUCCESS,
        Answer::No => ExitCode::from(NO),
        Answer::Undetermined => ExitCode::from(UNDETERMINED),
    }
}

fn validate(typed: cli::Validate) -> Result<Answer, Box<dyn Error>> {
    let form = match typed.output.as_str() {
        "json" => verdicts::Form::Json,
        "csv" => verdicts::Form::Csv,
        _ => verdicts::Form::Table,
    };
    let data = Data {
        from: asked_for(typed.vrps, typed.timeout, &typed.secure),
        slurm: typed.slurm,
        reading: reading(typed.lenient),
        aspa_overlap: aspa_overlap(typed.aspa_overlap),
        expired: match typed.keep_expired {
            true => Expired::Keep,
            false => Expired::Drop,
        },
    };
    if let Some(path) = &typed.path {
        let from = Role::ALL
            .into_iter()
            .find(|from| typed.from.as_deref() == Some(from.name()));
        let question = Question::new(path, from.ok_or("--path needs --from")?, typed.neighbor)?;
        return cmd::path::run(&cmd::path::Request {
            data,
            question,
            form,
        });
    }
    cmd::validate::run(&cmd::validate::Request {
        data,
        routes: typed.routes,
        lists: typed.file,
        as_sets: match typed.as_sets.as_str() {
            "none" => AsSets::None,
            _ => AsSets::Skip,
        },
        bad_lines: match typed.skip_bad {
            true => BadLines::Skip,
            false => BadLines::Fail,
        },
        form,
        extent: match typed.summary {
            true => Extent::Summary,
            false => Extent::Routes,
        },
    })
}

fn explain(typed: cli::Explain) -> cmd::explain::Request {
    let from = typed.from.into_iter();
    let lists = cmd::explain::Lists {
        from: from
            .map(|from| asked_for(from, typed.timeout, &typed.secure))
            .collect(),
        slurm: typed.slurm,
        reading: reading(typed.lenient),
        aspa_overlap: aspa_overlap(typed.aspa_overlap),
    };
    cmd::explain::Request {
        prefix: typed.prefix,
        origin: typed.origin,
        by: match lists.from.is_empty() {
            true => Expert::Server(typed.control.path),
            false => Expert::Lists(lists),
        },
        form: match typed.output.as_str() {
            "json" => cmd::explain::Form::Json,
            _ => cmd::explain::Form::Text,
        },
    }
}

fn slurm_check(typed: cli::SlurmCheck) -> cmd::slurm::Request {
    let (limit, secure) = (typed.timeout, typed.secure);
    cmd::slurm::Request {
        paths: typed.files,
        reading: reading(typed.lenient),
        aspa_overlap: aspa_overlap(typed.aspa_overlap),
        against: typed.against.map(|from| asked_for(from, limit, &secure)),
        detail: match typed.verbose {
            true => Detail::Payloads,
            false => Detail::Counts,
        },
        form: match typed.output.as_str() {
            "json" => cmd::slurm::Form::Json,
            _ => cmd::slurm::Form::Table,
        },
    }
}

fn asked_for(from: Endpoint, seconds: u64, secure: &cli::Secure) -> Request {
    Request {
        from,
        versions: Versions::ALL,
        limit: Duration::from_secs(seconds),
        tls: secure.tls(),
        ssh: secure.ssh(),
    }
}

const fn aspa_overlap(allowed: bool) -> AspaOverlap {
    match allowed {
        true => AspaOverlap::Allowed,
        false => AspaOverlap::Refused,
    }
}

const fn reading(lenient: bool) -> Reading {
    match lenient {
        true => Reading::Lenient,
        false => Reading::Strict,
    }
}

//! `rutter config`.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::from::{self, Given, Peer};
use crate::config::{Config, ConfigErrors, Loaded, Settings};

/// The forms of what is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A file that means the same, with comments.
    Toml,
    /// For programs.
    Json,
}

/// Says whether a file is right: exit code 0, or 1 with everything that is wrong with it.
///
/// # Errors
///
/// When the file cannot be read, or the answer not be written.
pub fn check(file: PathBuf) -> Result<ExitCode, Box<dyn Error>> {
    let name = file.display().to_string();
    let settings = Settings {
        config: Some(file),
        ..Settings::default()
    };
    let Some(loaded) = load(&settings)? else {
        return Ok(ExitCode::FAILURE);
    };
    let files = loaded.config.inspect_files();
    for warning in loaded.warnings.iter().chain(&files.warnings) {
        eprintln!("{name}: warning: {warning}");
    }
    if !files.errors.is_empty() {
        for error in &files.errors {
            eprintln!("{error}");
        }
        return Ok(ExitCode::FAILURE);
    }
    print(&format!("{name}: ok\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the effective values and where each came from; exit code 1 when something is wrong.
///
/// # Errors
///
/// When the file cannot be read, or the answer not be written.
pub fn show(settings: &Settings, form: Form) -> Result<ExitCode, Box<dyn Error>> {
    let Some(loaded) = load(settings)? else {
        return Ok(ExitCode::FAILURE);
    };
    match form {
        Form::Toml => print(&loaded.to_toml())?,
        Form::Json => print(&format!("{:#}\n", loaded.to_json()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What another server is told, in its own words.
#[derive(Clone, Debug)]
pub struct Words {
    /// Which server.
    pub peer: Peer,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// A file with its environment.
    pub environment: Option<PathBuf>,
    /// Its configuration file.
    pub file: Option<PathBuf>,
}

/// Prints a file that does what another server was told to do; exit code 1 when there is none.
///
/// # Errors
///
/// When a file cannot be read, or the answer not be written.
pub fn from(words: &Words) -> Result<ExitCode, Box<dyn Error>> {
    let text = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
    let given = Given {
        arguments: words.arguments.clone(),
        environment: text(&words.environment)?,
        file: text(&words.file)?,
    };
    match from::convert(words.peer, &given) {
        Ok(toml) => {
            print(&toml)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(reasons) => {
            for reason in reasons {
                eprintln!("rutter: {}: {reason}", words.peer);
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Nothing when it is wrong, which is said; an error when nobody can know.
fn load(settings: &Settings) -> Result<Option<Loaded>, ConfigErrors> {
    match Config::load(settings, super::environment()) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(errors) if errors.is_unreadable() => Err(errors),
        Err(errors) => {
            eprintln!("{errors}");
            Ok(None)
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

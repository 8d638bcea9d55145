//! `rutter reload`, `rutter refresh` and `rutter approve`: commands to a running server.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::http::control::{Client, ControlError};

/// What the server is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// Read the configuration again.
    Reload,
    /// Ask this source, or all of them.
    Refresh(Option<String>),
    /// Let the held update with this digest through.
    Approve(String),
}

/// Has it done and prints what came of it. Gives whether the server did it.
///
/// # Errors
///
/// When the server cannot be reached, gives no answer, or cannot do anything now.
pub fn run(control: PathBuf, order: &Order) -> Result<bool, Box<dyn Error>> {
    let client = Client::new(control, Client::COMMAND);
    let done = match order {
        Order::Reload => super::wait(client.post("/api/v1/reload", None)),
        Order::Refresh(None) => super::wait(client.post("/api/v1/refresh", None)),
        Order::Refresh(Some(source)) => {
            let path = format!("/api/v1/refresh?source={}", escaped(source));
            super::wait(client.post(&path, None))
        }
        Order::Approve(digest) => {
            let body = json!({ "digest": digest });
            super::wait(client.post("/api/v1/approve", Some(&body)))
        }
    };
    match done? {
        Ok(summary) => {
            super::say(&readable(&summary))?;
            Ok(true)
        }
        Err(ControlError::Refused { status, problem }) if status < 500 => {
            eprintln!("rutter: {}", problem.error);
            for detail in &problem.details {
                eprintln!("  {detail}");
            }
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// A message with its details below, as for a refusal; any other summary as lines of
/// `key: value`, with lists and what is nested indented.
fn readable(summary: &Value) -> String {
    let mut text = String::new();
    if let Some(Value::String(message)) = summary.get("message") {
        text = format!("{message}\n");
        write_value(&mut text, summary.get("details").unwrap_or(&Value::Null), 1);
        return text;
    }
    write_value(&mut text, summary, 0);
    if text.is_empty() {
        text.push_str("done\n");
    }
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('_', " ");
                match value {
                    Value::Null => {}
                    Value::Object(_) | Value::Array(_) => {
                        let mut below = String::new();
                        write_value(&mut below, value, depth + 1);
                        if below.is_empty() {
                            below = format!("{indent}  none\n");
                        }
                        // Writing to a string cannot fail, here and below.
                        let _ = write!(text, "{indent}{key}:\n{below}");
                    }
                    plain => {
                        let _ = writeln!(text, "{indent}{key}: {}", word(plain));
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                write_value(text, item, depth);
            }
        }
        plain => {
            let _ = writeln!(text, "{indent}{}", word(plain));
        }
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        other => other.to_string(),
    }
}

/// A name as it can stand in a query (RFC 3986 §2.1).
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for octet in name.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(octet));
            }
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_readable() {
        let summary = json!({
            "changed": ["listener tcp://[::]:323 added", "source b removed"],
            "restart_needed": false,
            "serial": 7,
            "warnings": [],
        });
        let expected = "\
changed:
  listener tcp://[::]:323 added
  source b removed
restart needed: no
serial: 7
warnings:
  none
";
        assert_eq!(readable(&summary), expected);
        let done = json!({"details": ["source b removed"], "message": "reloaded"});
        assert_eq!(readable(&done), "reloaded\n  source b removed\n");
        let done = json!({"details": [], "message": "reloaded"});
        assert_eq!(readable(&done), "reloaded\n");
        assert_eq!(readable(&json!({})), "done\n");
        assert_eq!(readable(&json!("published")), "published\n");
    }

    #[test]
    fn any_name_can_stand_in_a_query() {
        assert_eq!(escaped("validator-a"), "validator-a");
        assert_eq!(escaped("a b&c=é/%"), "a%20b%26c%3D%C3%A9%2F%25");
    }
}

//! Headers that an operator wants sent, most of them secret.

use std::path::Path;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::config::{self, Web};
use crate::daemon::source::error::{Cause, SourceError};
use crate::net::files;

/// The longest value of a header that is read from a file, in octets.
const MAX_OCTETS: u64 = 64 * 1024;

/// The headers, read anew. Blocks.
pub(super) fn headers(web: &Web) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::new();
    for header in &web.headers {
        let what = || format!("header {}", header.name);
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.map_err(|error| SourceError::Client {
            error: error.into(),
        })?;
        let value = match &header.value {
            config::HeaderValue::Text(text) => {
                HeaderValue::from_str(text).map_err(|error| SourceError::Client {
                    error: error.into(),
                })?
            }
            config::HeaderValue::File(path) => value(path, "", &what)?,
        };
        headers.append(name, value);
    }
    if let Some(path) = &web.bearer_token {
        let what = || "bearer token".into();
        headers.insert(AUTHORIZATION, value(path, "Bearer ", &what)?);
    }
    Ok(headers)
}

fn value(path: &Path, before: &str, what: &dyn Fn() -> String) -> Result<HeaderValue, SourceError> {
    let refused = |error: Cause| SourceError::Secret {
        what: what().into(),
        path: path.into(),
        error,
    };
    let octets = files::read(path, MAX_OCTETS);
    let octets = octets.map_err(|error| refused(String::from(error.cause).into()))?;
    let mut value = &octets[..];
    while let Some((b'\n' | b'\r', rest)) = value.split_last() {
        value = rest;
    }
    if value.is_empty() {
        return Err(refused("the file is empty".into()));
    }
    let all = [before.as_bytes(), value].concat();
    let mut value = HeaderValue::from_bytes(&all)
        .map_err(|_| refused("a header cannot have line ends or control characters".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Header;

    fn web(path: &Path) -> Web {
        Web {
            headers: vec![Header {
                name: "X-Key".into(),
                value: config::HeaderValue::File(path.into()),
            }],
            bearer_token: Some(path.into()),
            ..Web::default()
        }
    }

    #[test]
    fn values_lose_their_line_end_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let web = web(file.path());
        for text in ["a b ", "a b \n", "a b \r\n"] {
            fs::write(file.path(), text).unwrap();
            let headers = headers(&web).unwrap();
            assert_eq!(headers.get("x-key").unwrap(), "a b ");
            let token = headers.get(AUTHORIZATION).unwrap();
            assert_eq!(token, "Bearer a b ");
            assert!(token.is_sensitive());
        }
    }

    #[test]
    fn what_cannot_be_a_value_is_refused_and_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let web = web(file.path());
        let long = "s3cret".repeat(20_000);
        for text in ["", "\n", "s3cret\nmore", "s3cret\0", &long] {
            fs::write(file.path(), text).unwrap();
            let error = headers(&web).unwrap_err();
            assert_eq!(error.kind(), "secret");
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("s3cret") && shown.contains("X-Key"),
                "{shown}"
            );
        }
        let path = file.path().to_owned();
        drop(file);
        let error = headers(&web).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

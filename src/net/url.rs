//! The part of a URL that we look at before an HTTP client does.

use std::fmt;

use super::endpoint::EndpointError;
use super::host::HostPort;

/// An `http` or `https` URL with a host that can be one.
///
/// It may carry a user and a password. Neither `Display` nor `Debug` shows them;
/// [`with_credentials`](Self::with_credentials) does, and is for the HTTP client alone.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Url {
    text: Box<str>,
    credentials: Option<Credentials>,
}

/// Where the user and the password lie in the text, `@` included, in octets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Credentials {
    start: usize,
    end: usize,
}

impl Url {
    const HTTP_PORT: u16 = 80;
    const HTTPS_PORT: u16 = 443;

    /// Reads `https://host/path?query` with an optional `user:password@` and port.
    ///
    /// # Errors
    ///
    /// When the scheme is another one, the host or the port cannot be one, or there are spaces
    /// or control characters in it.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let default_port = if scheme.eq_ignore_ascii_case("https") {
            Self::HTTPS_PORT
        } else if scheme.eq_ignore_ascii_case("http") {
            Self::HTTP_PORT
        } else {
            return Err(EndpointError::UnknownScheme {
                scheme: scheme.into(),
            });
        };
        if rest
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        {
            return Err(EndpointError::SpaceInUrl);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or(rest);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        HostPort::parse(host, default_port).map_err(|error| {
            if user.is_none() && rest.contains('@') {
                // What looks like a port or a path may be a part of a password.
                EndpointError::Unescaped
            } else {
                error
            }
        })?;
        let start = text.len() - rest.len();
        Ok(Self {
            text: text.into(),
            credentials: user.map(|user| Credentials {
                start,
                end: start + user.len() + 1,
            }),
        })
    }

    /// The URL of what lies beside: this path with an ending, before a query.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse) has them.
    pub fn beside(&self, ending: &str) -> Result<Self, EndpointError> {
        let end = self.text.find(['?', '#']).unwrap_or(self.text.len());
        let (path, rest) = self.text.split_at_checked(end).unwrap_or((&self.text, ""));
        Self::parse(&format!("{path}{ending}{rest}"))
    }

    /// Whether it asks for TLS.
    pub fn is_secure(&self) -> bool {
        let scheme = self.text.split(':').next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// The URL of a file in the folder that this URL is of, whether it ends with a slash or not.
    /// `None` when there is a query or a fragment behind the path.
    pub fn file(&self, name: &str) -> Option<Self> {
        let path_only = !self.text.contains(['?', '#']);
        path_only.then(|| Self {
            text: [self.text.strip_suffix('/').unwrap_or(&self.text), "/", name]
                .concat()
                .into(),
            credentials: self.credentials,
        })
    }

    /// The URL as it was written, secrets and all: for the HTTP client, never for a log.
    pub fn with_credentials(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Url {
    /// The URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Credentials { start, end }) = self.credentials else {
            return f.write_str(&self.text);
        };
        f.write_str(self.text.get(..start).unwrap_or_default())?;
        f.write_str(self.text.get(end..).unwrap_or_default())
    }
}

impl fmt::Debug for Url {
    /// The URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_files_with_or_without_its_slash() {
        for (folder, file) in [
            ("https://a.example", "https://a.example/m.json"),
            ("https://a.example/", "https://a.example/m.json"),
            ("https://a.example/feed", "https://a.example/feed/m.json"),
            (
                "https://u:p@a.example/feed/",
                "https://u:p@a.example/feed/m.json",
            ),
        ] {
            let url = Url::parse(folder).unwrap().file("m.json").unwrap();
            assert_eq!(url.with_credentials(), file);
            assert_eq!(url, Url::parse(file).unwrap());
        }
        for other in ["https://a.example/?a", "https://a.example/feed#b"] {
            assert_eq!(Url::parse(other).unwrap().file("m.json"), None);
        }
    }

    #[test]
    fn a_url_is_kept_as_it_was_written() {
        for text in [
            "https://validator.example/json",
            "HTTP://192.0.2.1:8080/a?b=c",
            "https://[2001:db8::1]",
            "http://validator.example:80?x=@",
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), text);
            assert_eq!(url.with_credentials(), text);
            assert_eq!(url.is_secure(), text.starts_with("https:"));
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let url = Url::parse("https://me:s3cr@t@validator.example/json").unwrap();
        assert_eq!(url.to_string(), "https://validator.example/json");
        assert_eq!(format!("{url:?}"), "Url(https://validator.example/json)");
        assert!(url.with_credentials().contains("s3cr@t"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for text in [
            "",
            "validator.example",
            "ftp://validator.example/",
            "https:///json",
            "https://a b/",
            "https://validator.example/a b",
            "https://validator.example:x/",
            "https://me:secret@",
            "https://me:secret/part@validator.example/",
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

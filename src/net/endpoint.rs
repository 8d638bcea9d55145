//! What an operator writes to say where something is.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::host::HostPort;
use super::url::Url;

/// A place where something is fetched, asked for, offered or read.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Endpoint {
    /// `tcp://host:323`.
    Tcp(HostPort),
    /// `tls://host:324`.
    Tls(HostPort),
    /// `ssh://user@host:22`.
    Ssh {
        /// The name to log in with.
        user: Box<str>,
        /// The host and port.
        at: HostPort,
    },
    /// `http://…` or `https://…`.
    Web(Url),
    /// `feed+https://…` or `feed+http://…`: a feed on the web. The URL is that of the folder with
    /// its files, without `feed+`.
    Feed(Url),
    /// `feed+file:PATH`: a folder with the files of a feed.
    FeedFolder(PathBuf),
    /// A path.
    File(PathBuf),
    /// `-`: standard input.
    Stdin,
}

impl Endpoint {
    /// rpki-rtr, RFC 6810 §12.
    const TCP_PORT: u16 = 323;
    /// rpki-rtr-tls, RFC 6810 §12.
    const TLS_PORT: u16 = 324;
    /// The port of SSH, which rpki-rtr over SSH shares.
    const SSH_PORT: u16 = 22;

    fn with_scheme(scheme: &str, rest: &str, text: &str) -> Result<Self, EndpointError> {
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp(anonymous("tcp", rest, Self::TCP_PORT)?)),
            "tls" => Ok(Self::Tls(anonymous("tls", rest, Self::TLS_PORT)?)),
            "ssh" => Self::ssh(rest),
            "http" | "https" => Ok(Self::Web(Url::parse(text)?)),
            feed @ ("feed+https" | "feed+http") => {
                let scheme = feed.trim_start_matches("feed+");
                let url = Url::parse(&format!("{scheme}://{rest}"))?;
                match url.file("").is_some() {
                    true => Ok(Self::Feed(url)),
                    false => Err(EndpointError::Query),
                }
            }
            _ => Err(EndpointError::UnknownScheme {
                scheme: scheme.into(),
            }),
        }
    }

    fn ssh(rest: &str) -> Result<Self, EndpointError> {
        let (user, host) = rest.rsplit_once('@').ok_or(EndpointError::NoUser)?;
        if user.is_empty() {
            return Err(EndpointError::NoUser);
        }
        if user.contains(':') {
            return Err(EndpointError::Password);
        }
        if user.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(EndpointError::NoUser);
        }
        Ok(Self::Ssh {
            user: user.into(),
            at: authority("ssh", host, Self::SSH_PORT)?,
        })
    }

    fn without_scheme(text: &str) -> Result<Self, EndpointError> {
        let bare = |suggestion: String| Err(EndpointError::NoScheme { suggestion });
        if let Ok(address) = text.parse::<IpAddr>() {
            return bare(SocketAddr::new(address, Self::TCP_PORT).to_string());
        }
        if text.contains('/') {
            return Ok(Self::File(text.into()));
        }
        match text.rsplit_once(':') {
            Some((_, port)) if !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()) => {
                bare(text.into())
            }
            _ => Ok(Self::File(text.into())),
        }
    }
}

fn anonymous(scheme: &'static str, rest: &str, port: u16) -> Result<HostPort, EndpointError> {
    if rest.contains('@') {
        return Err(EndpointError::User { scheme });
    }
    authority(scheme, rest, port)
}

fn authority(scheme: &'static str, rest: &str, port: u16) -> Result<HostPort, EndpointError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(EndpointError::Path { scheme });
    }
    HostPort::parse(rest, port)
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        if text.contains('\0') {
            return Err(EndpointError::Nul);
        }
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if let Some(folder) = text.strip_prefix("feed+file:") {
            // As a `file:` URL with an empty host is written, too.
            let path = folder.strip_prefix("//").unwrap_or(folder);
            return match path.is_empty() {
                true => Err(EndpointError::Empty),
                false => Ok(Self::FeedFolder(path.into())),
            };
        }
        match text.split_once("://") {
            // A scheme has no slash, so `./a://b` is a path.
            Some((scheme, rest)) if !scheme.contains('/') => Self::with_scheme(scheme, rest, text),
            _ => Self::without_scheme(text),
        }
    }
}

impl fmt::Display for Endpoint {
    /// As it is written, with the port always and without a URL's user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::Tls(at) => write!(f, "tls://{at}"),
            Self::Ssh { user, at } => write!(f, "ssh://{user}@{at}"),
            Self::Web(url) => url.fmt(f),
            Self::Feed(url) => write!(f, "feed+{url}"),
            Self::FeedFolder(path) => write!(f, "feed+file:{}", path.display()),
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}

/// Why a text is no [`Endpoint`]. No variant repeats a user or a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EndpointError {
    /// There is no text.
    Empty,
    /// There is a NUL in it, which no path and no URL can have.
    Nul,
    /// The scheme is none of ours.
    UnknownScheme {
        /// What stands before `://`.
        scheme: Box<str>,
    },
    /// It looks like a host with a port but has no scheme, and so might be a path.
    NoScheme {
        /// Host and port as they can stand after a scheme.
        suggestion: String,
    },
    /// There is no host.
    NoHost,
    /// The host is neither a name nor an address.
    BadHost {
        /// What stands in its place.
        host: Box<str>,
    },
    /// An IPv6 address has no brackets, so where its port begins is anybody's guess.
    BareIpv6 {
        /// Address and perhaps port.
        host: Box<str>,
    },
    /// The port is no number from 0 to 65535.
    BadPort {
        /// What stands in its place.
        port: Box<str>,
    },
    /// There is something behind the port.
    Path {
        /// The scheme.
        scheme: &'static str,
    },
    /// The transport knows no users.
    User {
        /// The scheme.
        scheme: &'static str,
    },
    /// The transport needs a user and there is none.
    NoUser,
    /// A password stands where others can read it.
    Password,
    /// There are spaces or control characters in a URL.
    SpaceInUrl,
    /// There is no host before the first slash of a URL, but a user or password behind it.
    Unescaped,
    /// There is a query or a fragment behind the path of a feed, whose files are below it.
    Query,
}

impl std::error::Error for EndpointError {}

impl EndpointError {
    fn fault(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an endpoint cannot be empty"),
            Self::Nul => f.write_str("an endpoint cannot contain a NUL character"),
            Self::UnknownScheme { scheme } => write!(f, "unknown scheme {scheme:?}"),
            Self::NoScheme { .. } => {
                f.write_str("a host needs its scheme, and a file with such a name ./ before it")
            }
            Self::NoHost => f.write_str("the host is missing"),
            Self::BadHost { host } => {
                write!(f, "{host:?} is neither a host name nor an address")
            }
            Self::BareIpv6 { host } => write!(
                f,
                "{host:?} has several colons, and an IPv6 address stands in brackets"
            ),
            Self::BadPort { port } => write!(f, "{port:?} is no port from 0 to 65535"),
            Self::Path { .. } => f.write_str("nothing can follow the port"),
            Self::User { scheme } => write!(f, "{scheme} knows no users"),
            Self::NoUser => f.write_str("ssh needs a user"),
            Self::Password => f.write_str("a password cannot stand here, it belongs in a file"),
            Self::SpaceInUrl => {
                f.write_str("a url cannot contain spaces or control characters, a space is %20")
            }
            Self::Query => f.write_str("a feed is a folder, and nothing can follow its path"),
            Self::Unescaped => f.write_str(
                "a user or password needs its special characters escaped, a slash as %2F",
            ),
        }
    }

    fn example(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme { suggestion } => return write!(f, "tcp://{suggestion}"),
            Self::UnknownScheme { .. } => {
                "tcp://cache.example:323, tls://cache.example:324, ssh://user@cache.example:22, \
                 https://validator.example/json, feed+https://leader.example/feed/ or a path"
            }
            Self::Path { scheme: "tls" } | Self::User { scheme: "tls" } => {
                "tls://cache.example:324"
            }
            Self::Path { scheme: "ssh" } | Self::NoUser | Self::Password => {
                "ssh://user@cache.example:22"
            }
            Self::BareIpv6 { .. } => "tcp://[2001:db8::1]:323",
            Self::Query => "feed+https://leader.example/feed/",
            Self::SpaceInUrl => "https://validator.example/a%20b",
            Self::Unescaped => "https://user:pass%2Fword@validator.example/json",
            _ => "tcp://cache.example:323",
        })
    }
}

impl fmt::Display for EndpointError {
    /// What is wrong, and what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault(f)?;
        f.write_str("; write ")?;
        self.example(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Endpoint, EndpointError> {
        text.parse()
    }

    #[test]
    fn every_endpoint_is_read_and_shown() {
        for (text, shown) in [
            ("tcp://cache.example", "tcp://cache.example:323"),
            ("TCP://cache.example:8282/", "tcp://cache.example:8282"),
            ("tls://[2001:db8::1]", "tls://[2001:db8::1]:324"),
            ("ssh://rpki@192.0.2.1", "ssh://rpki@192.0.2.1:22"),
            ("http://v.example/json", "http://v.example/json"),
            (
                "https://u:p@v.example/json?a=b",
                "https://v.example/json?a=b",
            ),
            (
                "feed+https://leader.example/feed/",
                "feed+https://leader.example/feed/",
            ),
            ("/var/lib/rpki-client/json", "/var/lib/rpki-client/json"),
            ("vrps.json", "vrps.json"),
            ("./host:323", "./host:323"),
            ("./a://b", "./a://b"),
            ("-", "-"),
        ] {
            let endpoint = read(text).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            if !text.contains("u:p@") {
                assert_eq!(read(shown), Ok(endpoint));
            }
        }
    }

    #[test]
    fn a_host_without_a_scheme_gets_a_hint() {
        for (text, hint) in [
            ("cache.example:323", "tcp://cache.example:323"),
            ("[2001:db8::1]:323", "tcp://[2001:db8::1]:323"),
            ("192.0.2.1", "tcp://192.0.2.1:323"),
            ("2001:db8::1", "tcp://[2001:db8::1]:323"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let unknown = EndpointError::UnknownScheme {
            scheme: "rtr".into(),
        };
        assert_eq!(read("rtr://cache.example"), Err(unknown));
        assert_eq!(read(""), Err(EndpointError::Empty));
        for feed in [
            "feed+https://a.example/feed?a=b",
            "feed+http://a.example/#a",
        ] {
            assert_eq!(read(feed), Err(EndpointError::Query));
        }
        assert_eq!(read("a\0b"), Err(EndpointError::Nul));
        assert_eq!(read("tcp://"), Err(EndpointError::NoHost));
        assert_eq!(
            read("tcp://h/p"),
            Err(EndpointError::Path { scheme: "tcp" })
        );
        assert_eq!(
            read("tls://u@h"),
            Err(EndpointError::User { scheme: "tls" })
        );
        assert_eq!(read("ssh://h"), Err(EndpointError::NoUser));
        assert_eq!(read("ssh://u:secret@h"), Err(EndpointError::Password));
        assert!(matches!(
            read("tcp://2001:db8::1:323"),
            Err(EndpointError::BareIpv6 { .. })
        ));
        assert!(matches!(
            read("feed+ftp://leader.example/"),
            Err(EndpointError::UnknownScheme { .. })
        ));
    }

    #[test]
    fn no_error_repeats_a_secret() {
        for text in [
            "tcp://u:secret@h",
            "ssh://u:secret@h",
            "htps://u:secret@h",
            "https://u:secret@h:port/",
            "feed+https://u:secret@",
        ] {
            let error = read(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}

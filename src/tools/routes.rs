//! Lists of routes: the forms in which people and programs write them.
//!
//! A list has one form, which its first route or its header says; a line of another form is a bad
//! line and is not guessed at. Between the forms there is no doubt: a prefix has a slash, an AS
//! number has none, and an address without a slash is followed by its length.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::payload::Asn;

/// A route as far as origin validation looks at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route<'a> {
    /// The prefix, without host bits.
    pub prefix: IpNet,
    /// Where it comes from.
    pub origin: Origin<'a>,
}

/// The origin of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin<'a> {
    /// An AS.
    As(Asn),
    /// An AS set such as `{64496,64497}`, as it is written: an origin that nobody can tell.
    Set(&'a str),
}

impl Origin<'_> {
    /// The AS; `None` of a set, whose origin is NONE (RFC 6811 §2).
    pub const fn asn(self) -> Option<Asn> {
        match self {
            Self::As(asn) => Some(asn),
            Self::Set(_) => None,
        }
    }

    fn parse(text: &str) -> Option<Origin<'_>> {
        let Some(set) = text.strip_prefix('{') else {
            return text.parse().ok().map(Origin::As);
        };
        let members = set.strip_suffix('}')?;
        let of_set = |member: &str| member.trim().parse::<Asn>().is_ok();
        members.split(',').all(of_set).then_some(Origin::Set(text))
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::As(asn) => asn.fmt(f),
            Self::Set(text) => f.write_str(text),
        }
    }
}

/// The form of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    separator: Separator,
    columns: Vec<Column>,
}

/// What stands between two columns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Separator {
    /// A comma, with or without spaces.
    Comma,
    /// One tab.
    Tab,
    /// Spaces and tabs, however many.
    Space,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Column {
    /// A prefix with its length; under a header an address if there is a length beside it.
    Prefix,
    /// An address without a length.
    Address,
    /// The length of the prefix.
    Length,
    /// The origin.
    Origin,
    /// How many peers see the route.
    Peers,
    /// Anything.
    Other,
}

/// What the first line of a list is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum First {
    /// A route, and all are written like it.
    Route(Layout),
    /// The names of the columns.
    Header(Layout),
}

/// The forms without a header. A third column after a prefix could be a length or an AS number,
/// so there is none.
const FORMS: [&[Column]; 4] = [
    &[Column::Prefix, Column::Origin],
    &[Column::Origin, Column::Prefix],
    &[Column::Origin, Column::Prefix, Column::Peers],
    &[Column::Address, Column::Length, Column::Origin],
];

impl Layout {
    /// The form of a list that begins with this line.
    ///
    /// # Errors
    ///
    /// When the line is neither a route in a known form nor a header that names what is needed.
    pub fn detect(line: &str) -> Result<First, RouteError> {
        let separator = match Fields::new(line, Separator::Comma).nth(1) {
            Some(_) => Separator::Comma,
            None => Separator::Space,
        };
        for columns in FORMS {
            let columns = columns.to_vec();
            let layout = Self { separator, columns };
            match layout.route(line) {
                // A bad prefix says as much of its columns as a good one.
                Ok(_) | Err(RouteError::HostBits { .. }) => return Ok(First::Route(layout)),
                Err(_) => {}
            }
        }
        Self::header(line).map(First::Header)
    }

    fn header(line: &str) -> Result<Self, RouteError> {
        let separator = [(',', Separator::Comma), ('\t', Separator::Tab)];
        let separator = separator.iter().find(|(sign, _)| line.contains(*sign));
        let separator = separator.map_or(Separator::Space, |(_, separator)| *separator);
        let columns: Vec<Column> = Fields::new(line, separator).map(column).collect();
        let count = |wanted: Column| columns.iter().filter(|column| **column == wanted).count();
        let counts = [Column::Prefix, Column::Origin, Column::Length].map(count);
        match counts {
            [0, 0, _] => Err(RouteError::Form { found: line.into() }),
            [1, 1, 0 | 1] => Ok(Self { separator, columns }),
            _ => Err(RouteError::Header { found: line.into() }),
        }
    }

    /// The route on a line.
    ///
    /// # Errors
    ///
    /// When it has other columns, or one of them is not what it must be.
    pub fn route<'a>(&self, line: &'a str) -> Result<Route<'a>, RouteError> {
        let mut fields = Fields::new(line, self.separator);
        let (mut prefix, mut length, mut origin) = (None, None, None);
        for column in &self.columns {
            let field = fields.next().ok_or_else(|| self.other_columns(line))?;
            match column {
                Column::Prefix | Column::Address => prefix = Some((*column, field)),
                Column::Length => length = Some(field),
                Column::Origin => origin = Some(field),
                Column::Peers if field.bytes().all(|octet| octet.is_ascii_digit()) => {}
                Column::Peers => return Err(self.other_columns(line)),
                Column::Other => {}
            }
        }
        if fields.next().is_some() {
            return Err(self.other_columns(line));
        }
        let (Some((column, prefix)), Some(origin)) = (prefix, origin) else {
            return Err(self.other_columns(line));
        };
        let prefix = match length {
            None => self::prefix(prefix)?,
            Some(length) => prefix_and_length(column, prefix, length)?,
        };
        let origin = Origin::parse(origin).ok_or_else(|| RouteError::Origin {
            found: origin.into(),
        })?;
        Ok(Route { prefix, origin })
    }

    fn other_columns(&self, line: &str) -> RouteError {
        RouteError::Columns {
            expected: self.to_string(),
            found: line.into(),
        }
    }
}

impl fmt::Display for Layout {
    /// `prefix, AS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, column) in self.columns.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            f.write_str(match column {
                Column::Prefix => "prefix",
                Column::Address => "address",
                Column::Length => "length",
                Column::Origin => "AS",
                Column::Peers => "peers",
                Column::Other => "…",
            })?;
        }
        Ok(())
    }
}

/// The column under this heading.
fn column(heading: &str) -> Column {
    let letters = heading.bytes().filter(u8::is_ascii_alphanumeric);
    let heading: Vec<u8> = letters.map(|octet| octet.to_ascii_lowercase()).collect();
    match heading.as_slice() {
        b"prefix" | b"ipprefix" | b"network" | b"route" => Column::Prefix,
        b"asn" | b"as" | b"origin" | b"originas" | b"originasn" => Column::Origin,
        b"length" | b"len" | b"prefixlength" | b"prefixlen" => Column::Length,
        b"address" | b"ip" | b"ipaddress" => Column::Prefix,
        _ => Column::Other,
    }
}

/// Reads a prefix with its length.
fn prefix(text: &str) -> Result<IpNet, RouteError> {
    let prefix: IpNet = match text.parse() {
        Ok(prefix) => prefix,
        Err(_) if text.parse::<IpAddr>().is_ok() => {
            return Err(RouteError::NoLength { found: text.into() });
        }
        Err(_) => return Err(RouteError::Prefix { found: text.into() }),
    };
    let right = prefix.trunc();
    if right != prefix {
        return Err(RouteError::HostBits {
            found: prefix,
            right,
        });
    }
    Ok(prefix)
}

fn prefix_and_length(column: Column, text: &str, length: &str) -> Result<IpNet, RouteError> {
    let wrong = || RouteError::Length {
        prefix: text.into(),
        length: length.into(),
    };
    if column == Column::Prefix && text.contains('/') {
        let prefix = prefix(text)?;
        let same = length.parse() == Ok(prefix.prefix_len());
        return if same { Ok(prefix) } else { Err(wrong()) };
    }
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(RouteError::Prefix { found: text.into() });
    };
    let length = length.parse::<u8>().map_err(|_| wrong())?;
    let found = IpNet::new(address, length).map_err(|_| wrong())?;
    let right = found.trunc();
    if found != right {
        return Err(RouteError::HostBits { found, right });
    }
    Ok(found)
}

/// Reads routes as they are typed: each one word such as `192.0.2.0/24,64496`, or two, prefix and
/// AS in either order, or one with a space in it.
///
/// # Errors
///
/// When a word is no part of a route, or its other part is missing.
pub fn typed(words: &[String]) -> Result<Vec<Route<'_>>, RouteError> {
    let mut routes = Vec::new();
    let mut rest = words;
    while let [word, after @ ..] = rest {
        rest = after;
        if let Ok(First::Route(layout)) = Layout::detect(word) {
            routes.push(layout.route(word)?);
            continue;
        }
        let (one, other) = match after {
            [next, after @ ..] => {
                rest = after;
                (word.as_str(), next.as_str())
            }
            [] => return Err(lonely(word)),
        };
        let (prefix_text, origin_text) = match Origin::parse(one) {
            Some(_) => (other, one),
            None => (one, other),
        };
        routes.push(Route {
            prefix: prefix(prefix_text)?,
            origin: Origin::parse(origin_text).ok_or_else(|| RouteError::Origin {
                found: origin_text.into(),
            })?,
        });
    }
    Ok(routes)
}

/// What is wrong with a word that has no other beside it.
fn lonely(word: &str) -> RouteError {
    match prefix(word) {
        Ok(_) => RouteError::NoOrigin { found: word.into() },
        Err(error) if Origin::parse(word).is_none() && !word.contains(',') => error,
        Err(_) => RouteError::Form { found: word.into() },
    }
}

/// Why a line or a word is no route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RouteError {
    /// It is in no known form.
    Form {
        /// The line.
        found: Box<str>,
    },
    /// A header does not name the prefix and the AS, each once.
    Header {
        /// The line.
        found: Box<str>,
    },
    /// It has other columns than the list.
    Columns {
        /// Those of the list.
        expected: String,
        /// The line.
        found: Box<str>,
    },
    /// A prefix is none.
    Prefix {
        /// What stands there.
        found: Box<str>,
    },
    /// An address has no length.
    NoLength {
        /// The address.
        found: Box<str>,
    },
    /// A prefix has address bits past its length.
    HostBits {
        /// The prefix.
        found: IpNet,
        /// What would be one.
        right: IpNet,
    },
    /// A length does not belong to the address or prefix beside it.
    Length {
        /// The address or prefix.
        prefix: Box<str>,
        /// The length.
        length: Box<str>,
    },
    /// An AS is neither a number nor a set.
    Origin {
        /// What stands there.
        found: Box<str>,
    },
    /// A prefix has no AS beside it.
    NoOrigin {
        /// The prefix.
        found: Box<str>,
    },
    /// It is not UTF-8.
    Utf8,
    /// It is longer than a line may be.
    TooLong {
        /// The longest, in octets.
        limit: usize,
    },
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { found } => write!(
                f,
                "expected `prefix AS`, `AS prefix`, `address length AS` or names of columns, \
                 found {}",
                shown(found)
            ),
            Self::Header { found } => write!(
                f,
                "expected names of columns with one prefix and one origin, found {}",
                shown(found)
            ),
            Self::Columns { expected, found } => {
                write!(f, "expected {expected}, found {}", shown(found))
            }
            Self::Prefix { found } => write!(f, "expected a prefix, found {}", shown(found)),
            Self::NoLength { found } => {
                write!(f, "expected a prefix with its length, found {found}")
            }
            Self::HostBits { found, right } => write!(
                f,
                "{found} has address bits past its length; expected {right}"
            ),
            Self::Length { prefix, length } => write!(
                f,
                "expected the length of {}, found {}",
                shown(prefix),
                shown(length)
            ),
            Self::Origin { found } => {
                write!(f, "expected an AS number or set, found {}", shown(found))
            }
            Self::NoOrigin { found } => write!(f, "expected an AS beside {found}"),
            Self::Utf8 => f.write_str("expected UTF-8 text"),
            Self::TooLong { limit } => write!(f, "expected at most {limit} octets on a line"),
        }
    }
}

impl Error for RouteError {}

/// What was found, on one line and not a long one.
fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

/// The fields of a line, without the space and the quotes around them. What stands in braces is
/// together, whatever it has in it.
struct Fields<'a> {
    rest: Option<&'a str>,
    separator: Separator,
}

impl<'a> Fields<'a> {
    fn new(line: &'a str, separator: Separator) -> Self {
        let rest = Some(line.trim());
        Self { rest, separator }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let line = self.rest.take()?;
        let mut braces = false;
        let end = line.bytes().position(|octet| {
            braces = octet == b'{' || (braces && octet != b'}');
            !braces
                && match self.separator {
                    Separator::Comma => octet == b',',
                    Separator::Tab => octet == b'\t',
                    Separator::Space => octet == b' ' || octet == b'\t',
                }
        });
        let (field, rest) = match end.and_then(|end| line.split_at_checked(end)) {
            Some((field, rest)) => (field, Some(rest)),
            None => (line, None),
        };
        self.rest = match self.separator {
            Separator::Space => rest.map(str::trim_start),
            // The sign is one octet.
            Separator::Comma | Separator::Tab => rest.and_then(|rest| rest.get(1..)),
        };
        let field = field.trim();
        let inner = field
            .strip_prefix('"')
            .and_then(|field| field.strip_suffix('"'));
        Some(inner.unwrap_or(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Result<String, RouteError>> {
        let mut lines = lines.iter();
        let first = lines.next().unwrap();
        let (layout, head) = match Layout::detect(first) {
            Ok(First::Route(layout)) => (layout, Some(first)),
            Ok(First::Header(layout)) => (layout, None),
            Err(error) => return vec![Err(error)],
        };
        head.into_iter()
            .chain(lines)
            .map(|line| {
                let route = layout.route(line)?;
                Ok(format!("{} {}", route.prefix, route.origin))
            })
            .collect()
    }

    fn all(lines: &[&str]) -> Vec<String> {
        read(lines).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn every_form_is_read() {
        let wanted = ["192.0.2.0/24 AS64496", "2001:db8::/32 AS64497"];
        for list in [
            ["192.0.2.0/24 64496", "2001:db8::/32 AS64497"],
            ["192.0.2.0/24\tAS64496", "  2001:db8::/32   as64497 "],
            ["192.0.2.0/24,64496", "2001:db8::/32, 64497"],
            ["64496\t192.0.2.0/24\t7", "64497\t2001:db8::/32\t12"],
            ["AS64496 192.0.2.0/24", "AS64497 2001:db8::/32"],
            ["AS64496,\"192.0.2.0/24\"", "64497,2001:db8::/32"],
            ["192.0.2.0 24 64496", "2001:db8:: 32 64497"],
            ["192.0.2.0, 24, 64496", "2001:db8::,32,AS64497"],
        ] {
            assert_eq!(all(&list), wanted, "{list:?}");
        }
    }

    #[test]
    fn headers_name_the_columns() {
        let wanted = ["192.0.2.0/24 AS64496"];
        for list in [
            ["prefix,origin_as", "192.0.2.0/24,64496"],
            ["prefix asn", "192.0.2.0/24 64496"],
            ["Origin AS,Time,IP Prefix", "AS64496,noon,192.0.2.0/24"],
            ["IP Prefix\tOrigin AS", "192.0.2.0/24\t64496"],
            ["asn,prefix,length", "64496,192.0.2.0,24"],
            ["asn,prefix,length", "64496,192.0.2.0/24,24"],
            ["ip,len,asn", "192.0.2.0,24,64496"],
            [
                "ASN,IP Prefix,Max Length,Trust Anchor",
                "AS64496,192.0.2.0/24,26,x",
            ],
        ] {
            assert_eq!(all(&list), wanted, "{list:?}");
        }
        for header in ["prefix,prefix,asn", "prefix,max length", "asn,as,prefix"] {
            let refused = matches!(Layout::detect(header), Err(RouteError::Header { .. }));
            assert!(refused, "{header}");
        }
    }

    #[test]
    fn sets_are_origins_without_an_as() {
        let list = ["{64496,64497} 192.0.2.0/24 3", "{64496} 192.0.2.0/24 3"];
        assert_eq!(
            all(&list),
            ["192.0.2.0/24 {64496,64497}", "192.0.2.0/24 {64496}"]
        );
        let list = ["192.0.2.0/24,{64496, 64497}"];
        assert_eq!(all(&list), ["192.0.2.0/24 {64496, 64497}"]);
        let route = read(&["192.0.2.0/24 {a}"]);
        assert!(route[0].is_err());
    }

    #[test]
    fn what_may_mean_two_things_is_refused() {
        for line in [
            "192.0.2.0/24 24 64496",
            "192.0.2.0/24 64496 7",
            "64496 192.0.2.0/24 7 8",
            "AS64496,192.0.2.0/24,24,apnic",
            "192.0.2.0 64496",
            "192.0.2.0/24",
            "64496",
            "{\"roas\": [",
            "hello",
        ] {
            let refused = matches!(Layout::detect(line), Err(RouteError::Form { .. }));
            assert!(refused, "{line}: {:?}", Layout::detect(line));
        }
    }

    #[test]
    fn bad_lines_say_why() {
        let error = |line: &str| read(&["192.0.2.0/24 64496", line])[1].clone().unwrap_err();
        for (line, reason) in [
            (
                "192.0.2.0/33 1",
                "expected a prefix, found \"192.0.2.0/33\"",
            ),
            ("192.0.2.0 1", "expected a prefix with its length"),
            ("192.0.2.1/24 1", "expected 192.0.2.0/24"),
            (
                "192.0.2.0/24 1.5",
                "expected an AS number or set, found \"1.5\"",
            ),
            ("192.0.2.0/24 4294967296", "expected an AS number"),
            ("192.0.2.0/24 1 2", "expected prefix, AS, found"),
            ("192.0.2.0/24", "expected prefix, AS"),
        ] {
            let text = error(line).to_string();
            assert!(text.contains(reason), "{line}: {text}");
        }
        let lengths = read(&["prefix,length,asn", "192.0.2.0/24,25,1", "192.0.2.0,33,1"]);
        assert!(
            lengths
                .iter()
                .all(|read| matches!(read, Err(RouteError::Length { .. })))
        );
    }

    #[test]
    fn a_line_that_is_cut_anywhere_is_no_other_route() {
        let whole = [
            "192.0.2.0/24 64496",
            "64496\t2001:db8::/32\t12",
            "192.0.2.0, 24, AS64496",
            "192.0.2.0/24,{64496,64497}",
        ];
        for line in whole {
            let Ok(First::Route(layout)) = Layout::detect(line) else {
                panic!("{line}");
            };
            let right = layout.route(line).unwrap();
            for end in 0..line.len() {
                let cut = &line[..end];
                // Only the last number can be another one without a trace.
                if let Ok(route) = layout.route(cut) {
                    assert_eq!(route.prefix, right.prefix, "{cut}");
                }
                let _ = Layout::detect(cut);
                let _ = typed(&[cut.to_owned()]);
            }
        }
    }

    #[test]
    fn routes_are_typed_as_one_word_or_two() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let right: Vec<String> = words(&[
            "192.0.2.0/24",
            "AS64496",
            "64497",
            "2001:db8::/32",
            "192.0.2.0/24,64498",
            "192.0.2.0/24 {64499}",
        ]);
        let routes = typed(&right).unwrap();
        let routes: Vec<String> = routes
            .iter()
            .map(|route| format!("{} {}", route.prefix, route.origin))
            .collect();
        assert_eq!(
            routes,
            [
                "192.0.2.0/24 AS64496",
                "2001:db8::/32 AS64497",
                "192.0.2.0/24 AS64498",
                "192.0.2.0/24 {64499}"
            ]
        );
        for (wrong, reason) in [
            (&["192.0.2.0/24"][..], "expected an AS beside 192.0.2.0/24"),
            (&["192.0.2.0", "1"], "with its length"),
            (&["192.0.2.1/24", "1"], "expected 192.0.2.0/24"),
            (&["192.0.2.0/24", "192.0.2.0/24"], "expected an AS number"),
            (&["1", "2"], "expected a prefix"),
            (&["1"], "expected `prefix AS`"),
        ] {
            let wrong: Vec<String> = words(wrong);
            let text = typed(&wrong).unwrap_err().to_string();
            assert!(text.contains(reason), "{wrong:?}: {text}");
        }
    }
}

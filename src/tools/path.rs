//! AS paths as people write them, and what the ASPAs say of one.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::verdicts::Form;
use crate::payload::aspa_path::{
    Attestation, Hop, Neighbor, PathElement, PathState, PathValidity, Procedure, Ramps, Reason,
};
use crate::payload::{Asn, PayloadSet};

/// A path to verify, and who handed it over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    path: Vec<PathElement>,
    from: Role,
    neighbor: Option<Asn>,
}

/// What the neighbour who handed the route over is to us
/// (draft-ietf-sidrops-aspa-verification).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Our customer.
    Customer,
    /// Our provider.
    Provider,
    /// Our lateral peer.
    Peer,
    /// A client, and we are its route server.
    RsClient,
    /// A route server, and we are its client.
    Rs,
}

impl Role {
    /// All of them, as they are offered.
    pub const ALL: [Self; 5] = [
        Self::Customer,
        Self::Provider,
        Self::Peer,
        Self::RsClient,
        Self::Rs,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Provider => "provider",
            Self::Peer => "peer",
            Self::RsClient => "rs-client",
            Self::Rs => "rs",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Provider => "provider",
            Self::Peer => "lateral peer",
            Self::RsClient => "client of a route server",
            Self::Rs => "route server",
        }
    }

    /// The procedure that routes from there are verified by.
    pub const fn procedure(self) -> Procedure {
        match self {
            Self::Provider => Procedure::Downstream,
            Self::Customer | Self::Peer | Self::RsClient | Self::Rs => Procedure::Upstream,
        }
    }
}

impl Question {
    /// Reads a path such as `64501 64502 {64503,64504}`, the neighbour first. Without `neighbor`
    /// the first AS is the neighbour.
    ///
    /// # Errors
    ///
    /// When the text is no path, or names the neighbour of a route server's client.
    pub fn new(text: &str, from: Role, neighbor: Option<Asn>) -> Result<Self, PathError> {
        if from == Role::Rs && neighbor.is_some() {
            return Err(PathError::Neighbor);
        }
        let path = elements(text)?;
        Ok(Self {
            path,
            from,
            neighbor,
        })
    }

    /// What the ASPAs of a set say of the path.
    pub fn answer(&self, set: &PayloadSet) -> PathValidity {
        let first = match self.path.first() {
            Some(PathElement::As(asn)) => Neighbor::As(*asn),
            // The path is invalid without any neighbour.
            Some(PathElement::Set(_)) | None => Neighbor::RouteServer,
        };
        let neighbor = match (self.from, self.neighbor) {
            (Role::Rs, _) => Neighbor::RouteServer,
            (_, Some(asn)) => Neighbor::As(asn),
            (_, None) => first,
        };
        set.path_validity(&self.path, self.from.procedure(), neighbor)
    }

    /// Writes what came of it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, answer: &PathValidity, form: Form, out: &mut impl Write) -> io::Result<()> {
        match form {
            Form::Json => {
                serde_json::to_writer(&mut *out, &Line::new(self, answer))?;
                out.write_all(b"\n")
            }
            Form::Csv => self.csv(answer, out),
            Form::Table => self.table(answer, out),
        }
    }

    fn csv(&self, answer: &PathValidity, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "path,from,state,reason,max_up,min_up,max_down,min_down"
        )?;
        write!(
            out,
            "\"{}\",{},{},\"{}\"",
            Shown(&self.path),
            self.from.name(),
            answer.state,
            answer.reason
        )?;
        match answer.reason {
            Reason::Hops { ramps, .. } => {
                let Ramps {
                    max_up,
                    min_up,
                    max_down,
                    min_down,
                } = ramps;
                writeln!(out, ",{max_up},{min_up},{max_down},{min_down}")
            }
            _ => writeln!(out, ",,,,"),
        }
    }

    fn table(&self, answer: &PathValidity, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}: {}", answer.state, answer.reason)?;
        writeln!(out, "path       {}", Shown(&self.path))?;
        let procedure = procedure(self.from);
        writeln!(out, "procedure  {procedure}, from a {}", self.from.words())?;
        let Reason::Hops { ramps, .. } = answer.reason else {
            return Ok(());
        };
        let ases = answer.path.len();
        writeln!(
            out,
            "up-ramp    {} of {ases} ASes from the origin",
            Span(ramps.min_up, ramps.max_up)
        )?;
        if self.from.procedure() == Procedure::Downstream {
            writeln!(
                out,
                "down-ramp  {} of {ases} ASes from the neighbour",
                Span(ramps.min_down, ramps.max_down)
            )?;
        }
        Ok(())
    }
}

const fn procedure(from: Role) -> &'static str {
    match from.procedure() {
        Procedure::Upstream => "upstream",
        Procedure::Downstream => "downstream",
    }
}

/// Reads the elements of a path.
fn elements(text: &str) -> Result<Vec<PathElement>, PathError> {
    let mut elements = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let set = rest.starts_with('{');
        let end = if set {
            rest.find('}').map(|end| end + 1)
        } else {
            rest.find(char::is_whitespace)
        };
        let (word, after) = end
            .and_then(|end| rest.split_at_checked(end))
            .unwrap_or((rest, ""));
        let found = || PathError::Element { found: word.into() };
        elements.push(match word.strip_prefix('{') {
            None => PathElement::As(word.parse().map_err(|_| found())?),
            Some(members) => {
                let members = members.strip_suffix('}').ok_or_else(found)?;
                let members = members.split(',').map(|member| member.trim().parse());
                PathElement::Set(members.collect::<Result<_, _>>().map_err(|_| found())?)
            }
        });
        if set && !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(PathError::Element { found: rest.into() });
        }
        rest = after.trim_start();
    }
    Ok(elements)
}

/// Why there is nothing to verify.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathError {
    /// A part of the text is no part of a path.
    Element {
        /// The part.
        found: Box<str>,
    },
    /// A route server need not be in the path, so there is no neighbour to look for.
    Neighbor,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { found } => write!(
                f,
                "expected AS numbers and sets such as {{64503,64504}} in a path, without \
                 confederation segments, found {found:?}"
            ),
            Self::Neighbor => f.write_str(
                "a route server need not be in the path, so no neighbour is expected there",
            ),
        }
    }
}

impl Error for PathError {}

/// `AS64501 {AS64503,AS64504}`.
struct Shown<'a>(&'a [PathElement]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, element) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            match element {
                PathElement::As(asn) => asn.fmt(f)?,
                PathElement::Set(members) => {
                    let members: Vec<String> = members.iter().map(Asn::to_string).collect();
                    write!(f, "{{{}}}", members.join(","))?;
                }
            }
        }
        Ok(())
    }
}

/// `2`, or `2 to 4`.
struct Span(usize, usize);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(least, most) = self;
        if least == most {
            return write!(f, "{least}");
        }
        write!(f, "{least} to {most}")
    }
}

/// The JSON for a path.
#[derive(Serialize)]
struct Line<'a> {
    path: PathMember<'a>,
    validity: ValidityMember,
}

#[derive(Serialize)]
struct PathMember<'a> {
    #[serde(serialize_with = "text")]
    as_path: Shown<'a>,
    from: &'static str,
    procedure: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbor: Option<String>,
}

#[derive(Serialize)]
struct ValidityMember {
    state: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ramps: Option<RampsMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_stop: Option<HopMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    down_stop: Option<HopMember>,
}

#[derive(Serialize)]
struct RampsMember {
    max_up: usize,
    min_up: usize,
    max_down: usize,
    min_down: usize,
}

#[derive(Serialize)]
struct HopMember {
    customer: String,
    provider: String,
    attestation: &'static str,
}

impl<'a> Line<'a> {
    fn new(question: &'a Question, answer: &PathValidity) -> Self {
        let (ramps, up_stop, down_stop) = match answer.reason {
            Reason::Hops {
                ramps,
                up_stop,
                down_stop,
            } => (Some(ramps), up_stop, down_stop),
            _ => (None, None, None),
        };
        Self {
            path: PathMember {
                as_path: Shown(&question.path),
                from: question.from.name(),
                procedure: procedure(question.from),
                neighbor: question.neighbor.map(|asn| asn.to_string()),
            },
            validity: ValidityMember {
                state: match answer.state {
                    PathState::Valid => "valid",
                    PathState::Invalid => "invalid",
                    PathState::Unknown => "unknown",
                },
                reason: answer.reason.to_string(),
                ramps: ramps.map(|ramps| RampsMember {
                    max_up: ramps.max_up,
                    min_up: ramps.min_up,
                    max_down: ramps.max_down,
                    min_down: ramps.min_down,
                }),
                up_stop: up_stop.map(HopMember::from_hop),
                down_stop: down_stop.map(HopMember::from_hop),
            },
        }
    }
}

impl HopMember {
    fn from_hop(hop: Hop) -> Self {
        Self {
            customer: hop.customer.to_string(),
            provider: hop.provider.to_string(),
            attestation: match hop.attestation {
                Attestation::None => "no-attestation",
                Attestation::Provider => "provider",
                Attestation::NotProvider => "not-provider",
            },
        }
    }
}

fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        let shown = |text: &str| Shown(&elements(text).unwrap()).to_string();
        assert_eq!(shown(" 64501  AS64502 "), "AS64501 AS64502");
        assert_eq!(
            shown("64501 {64503, 64504} 64505"),
            "AS64501 {AS64503,AS64504} AS64505"
        );
        assert_eq!(shown(""), "");
        for text in [
            "a",
            "64501,64502",
            "{64501",
            "{}",
            "{1}2",
            "(64512) 1",
            "1 -",
        ] {
            assert!(elements(text).is_err(), "{text}");
        }
    }
}

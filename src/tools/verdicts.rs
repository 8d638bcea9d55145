//! How the validity of routes is written, for people and for programs.

use std::fmt;
use std::io::{self, BufWriter, Write};

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::routes::{Origin, Route};
use super::validate::{Counts, Reason};
use crate::payload::validity::{Fit, State, Validity};
use crate::payload::{Asn, Vrp};

/// The forms of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For people.
    Table,
    /// A JSON object on each line; the last one is the summary.
    Json,
    /// CSV with a header; the summary is a comment below.
    Csv,
}

/// What is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// Each route and the summary.
    Routes,
    /// The summary only.
    Summary,
}

/// How a validation ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome<'a> {
    /// All routes were read.
    Complete,
    /// There may be more routes than were read, and why.
    BrokenOff(&'a str),
}

/// Writes verdicts.
#[derive(Debug)]
pub struct Verdicts<W: Write> {
    out: BufWriter<W>,
    form: Form,
    extent: Extent,
    begun: bool,
}

impl<W: Write> Verdicts<W> {
    /// Octets written at a time.
    const CHUNK: usize = 64 * 1024;

    /// Writes in this form.
    pub fn new(out: W, form: Form, extent: Extent) -> Self {
        Self {
            out: BufWriter::with_capacity(Self::CHUNK, out),
            form,
            extent,
            begun: false,
        }
    }

    pub(super) fn route(&mut self, route: &Route<'_>, validity: &Validity) -> io::Result<()> {
        if self.extent == Extent::Summary {
            return Ok(());
        }
        self.begin()?;
        match self.form {
            Form::Table => table(&mut self.out, route, validity),
            Form::Csv => csv(&mut self.out, route, validity),
            Form::Json => json(&mut self.out, &RouteLine::new(route, validity)),
        }
    }

    pub(super) const fn extent(&self) -> Extent {
        self.extent
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn finish(&mut self, counts: &Counts, outcome: &Outcome<'_>) -> io::Result<()> {
        if self.extent == Extent::Routes {
            self.begin()?;
        }
        let summary = Summary::new(counts, outcome);
        match (self.form, self.extent) {
            (Form::Table, _) => writeln!(self.out, "{summary}")?,
            (Form::Csv, Extent::Routes) => writeln!(self.out, "# {summary}")?,
            (Form::Csv, Extent::Summary) => summary.csv(&mut self.out)?,
            (Form::Json, _) => json(&mut self.out, &SummaryLine { summary })?,
        }
        self.out.flush()
    }

    /// Writes the header, once.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.form {
            Form::Table => writeln!(self.out, "{:<43} {:<12} STATE      WHY", "PREFIX", "ORIGIN"),
            Form::Csv => {
                self.out
                    .write_all(b"prefix,origin,state,reason,matched,unmatched_as,")?;
                self.out.write_all(b"unmatched_length,unmatched_both\n")
            }
            Form::Json => Ok(()),
        }
    }
}

/// The word for a state, as it stands in all outputs.
pub const fn name(state: State) -> &'static str {
    match state {
        State::Valid => "valid",
        State::Invalid => "invalid",
        State::NotFound => "not-found",
    }
}

/// The ways in which VRPs cover a route, in the order in which they are written.
const FITS: [Fit; 4] = [
    Fit::Matched,
    Fit::WrongAs,
    Fit::WrongLength,
    Fit::WrongAsAndLength,
];

fn table(out: &mut impl Write, route: &Route<'_>, validity: &Validity) -> io::Result<()> {
    write!(
        out,
        "{:<43} {:<12} {:<9}",
        // A width is for texts only.
        route.prefix.to_string(),
        route.origin.to_string(),
        name(validity.state)
    )?;
    let mut comma = " ";
    for fit in FITS {
        let mut words = match fit {
            Fit::Matched => "matched by ",
            Fit::WrongAs => "wrong AS for ",
            Fit::WrongLength => "too long for ",
            Fit::WrongAsAndLength => "wrong AS and too long for ",
        };
        for vrp in fitting(validity, fit) {
            write!(out, "{comma} {words}{vrp}")?;
            (comma, words) = (",", "");
        }
        if words.is_empty() {
            comma = ";";
        }
    }
    out.write_all(b"\n")
}

fn csv(out: &mut impl Write, route: &Route<'_>, validity: &Validity) -> io::Result<()> {
    let reason = Reason::of(validity).map_or("", Reason::name);
    let origin = route.origin.to_string();
    let quote = if origin.contains(',') { "\"" } else { "" };
    write!(
        out,
        "{},{quote}{origin}{quote},{},{reason}",
        route.prefix,
        name(validity.state)
    )?;
    for fit in FITS {
        let mut before = ",";
        for vrp in fitting(validity, fit) {
            write!(out, "{before}{vrp}")?;
            before = ";";
        }
        if before == "," {
            out.write_all(b",")?;
        }
    }
    out.write_all(b"\n")
}

fn json(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn fitting(validity: &Validity, wanted: Fit) -> impl Iterator<Item = &Vrp> {
    let covering = validity.covering.iter();
    covering
        .filter(move |(_, fit)| *fit == wanted)
        .map(|(vrp, _)| vrp)
}

/// A line of JSON for a route, with the member names of Routinator's validity API.
#[derive(Serialize)]
struct RouteLine<'a> {
    route: RouteMember<'a>,
    validity: ValidityMember<'a>,
}

#[derive(Serialize)]
struct RouteMember<'a> {
    #[serde(serialize_with = "text")]
    origin_asn: Origin<'a>,
    #[serde(serialize_with = "text")]
    prefix: IpNet,
}

#[derive(Serialize)]
struct ValidityMember<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    description: &'static str,
    #[serde(rename = "VRPs")]
    vrps: VrpsMember<'a>,
}

#[derive(Serialize)]
struct VrpsMember<'a> {
    matched: Fitting<'a>,
    unmatched_as: Fitting<'a>,
    unmatched_length: Fitting<'a>,
    unmatched_both: Fitting<'a>,
}

impl<'a> RouteLine<'a> {
    fn new(route: &Route<'a>, validity: &'a Validity) -> Self {
        let reason = Reason::of(validity);
        let fitting = |fit| Fitting { validity, fit };
        Self {
            route: RouteMember {
                origin_asn: route.origin,
                prefix: route.prefix,
            },
            validity: ValidityMember {
                state: name(validity.state),
                reason: reason.map(Reason::name),
                description: description(validity.state, reason),
                vrps: VrpsMember {
                    matched: fitting(Fit::Matched),
                    unmatched_as: fitting(Fit::WrongAs),
                    unmatched_length: fitting(Fit::WrongLength),
                    unmatched_both: fitting(Fit::WrongAsAndLength),
                },
            },
        }
    }
}

const fn description(state: State, reason: Option<Reason>) -> &'static str {
    match (state, reason) {
        (State::Valid, _) => "a covering VRP has this AS and room for this length",
        (State::NotFound, _) => "no VRP covers the prefix",
        (State::Invalid, Some(Reason::Length)) => {
            "the prefix is longer than every covering VRP of this AS allows"
        }
        (State::Invalid, Some(Reason::AsAndLength)) => {
            "no covering VRP has this AS, and none has room for this length"
        }
        (State::Invalid, Some(Reason::As) | None) => "no covering VRP has this AS",
    }
}

/// The VRPs of one group.
struct Fitting<'a> {
    validity: &'a Validity,
    fit: Fit,
}

impl Serialize for Fitting<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Item {
            #[serde(serialize_with = "text")]
            asn: Asn,
            #[serde(serialize_with = "text")]
            prefix: IpNet,
            // A text, as readers of Routinator's API expect it.
            #[serde(serialize_with = "text")]
            max_length: u8,
        }
        serializer.collect_seq(fitting(self.validity, self.fit).map(|vrp| Item {
            asn: vrp.asn(),
            prefix: vrp.prefix(),
            max_length: vrp.max_len(),
        }))
    }
}

fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    summary: Summary<'a>,
}

/// What it all amounts to.
#[derive(Clone, Copy, Serialize)]
struct Summary<'a> {
    routes: u64,
    valid: u64,
    invalid: u64,
    invalid_as: u64,
    invalid_length: u64,
    invalid_both: u64,
    not_found: u64,
    skipped_as_sets: u64,
    bad_lines: u64,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_off: Option<&'a str>,
}

impl<'a> Summary<'a> {
    const fn new(counts: &Counts, outcome: &Outcome<'a>) -> Self {
        let broken_off = match outcome {
            Outcome::Complete => None,
            Outcome::BrokenOff(reason) => Some(*reason),
        };
        Self {
            routes: counts.routes(),
            valid: counts.valid,
            invalid: counts.invalid(),
            invalid_as: counts.invalid_as,
            invalid_length: counts.invalid_length,
            invalid_both: counts.invalid_both,
            not_found: counts.not_found,
            skipped_as_sets: counts.skipped,
            bad_lines: counts.bad,
            complete: broken_off.is_none(),
            broken_off,
        }
    }

    fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"routes,valid,invalid,invalid_as,invalid_length,")?;
        out.write_all(b"invalid_both,not_found,skipped_as_sets,bad_lines,complete\n")?;
        writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{}",
            self.routes,
            self.valid,
            self.invalid,
            self.invalid_as,
            self.invalid_length,
            self.invalid_both,
            self.not_found,
            self.skipped_as_sets,
            self.bad_lines,
            self.complete
        )
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            routes,
            valid,
            invalid,
            invalid_as,
            invalid_length,
            invalid_both,
            not_found,
            skipped_as_sets,
            bad_lines,
            ..
        } = self;
        write!(
            f,
            "{routes} routes: {valid} valid, {invalid} invalid ({invalid_as} wrong AS, \
             {invalid_length} too long, {invalid_both} both), {not_found} not found; \
             {skipped_as_sets} with AS sets skipped, {bad_lines} bad lines"
        )?;
        match self.broken_off {
            None => Ok(()),
            Some(reason) => write!(f, "; INCOMPLETE: {reason}"),
        }
    }
}

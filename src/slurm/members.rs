//! The members of an object: those that must be there, those that may, and no others.

use super::fault::{FaultKind, Position};
use super::reader::{Member, Node, Value};
use super::report::{Path, Report, shown};

/// A member that an object may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// As the standard has it.
    pub(super) right: &'static str,
    /// What drafts and other programs called it.
    old: &'static [&'static str],
}

impl Name {
    pub(super) const fn new(right: &'static str) -> Self {
        Self { right, old: &[] }
    }

    /// The name, and what it was called at other times.
    pub(super) const fn once(right: &'static str, old: &'static [&'static str]) -> Self {
        Self { right, old }
    }

    /// Whether a name that is not right is still understood.
    fn is_meant_by(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.right)
            || self.old.iter().any(|old| name.eq_ignore_ascii_case(old))
    }
}

/// A member that is not defined at its place and that the writer still may have meant.
const COMMENT: &str = "comment";

/// The members of an object by their names' places; `None` when the node is no object, of which
/// the report tells, as it does of members that are not among the names.
pub(super) fn members<'n, 'a, const N: usize>(
    node: &'n Node<'a>,
    path: &Path<'_>,
    names: &[Name; N],
    report: &mut Report,
) -> Option<[Option<&'n Node<'a>>; N]> {
    let Value::Object(members) = &node.value else {
        let message = format!("expected an object, found {}", node.value.described());
        report.fault(FaultKind::WrongType, node.at, path, message);
        return None;
    };
    let mut found: [Option<&Node<'_>>; N] = [None; N];
    for member in members {
        let Some(place) = place(member, path, names, report) else {
            continue;
        };
        let Some(slot) = found.get_mut(place) else {
            continue;
        };
        if slot.is_some() {
            let right = names.get(place).map_or("", |name| name.right);
            let message = format!("the member {right} is there twice, under two names");
            let path = path.member(&member.name);
            report.fault(FaultKind::DuplicateMember, member.at, &path, message);
        }
        *slot = Some(&member.node);
    }
    Some(found)
}

/// The place of the name that a member has, `None` when it is not to be used.
fn place<const N: usize>(
    member: &Member<'_>,
    path: &Path<'_>,
    names: &[Name; N],
    report: &mut Report,
) -> Option<usize> {
    let name = member.name.as_ref();
    if let Some(place) = names.iter().position(|known| known.right == name) {
        return Some(place);
    }
    let path = path.member(name);
    let meant = names.iter().position(|known| known.is_meant_by(name));
    if let Some(known) = meant.and_then(|place| names.get(place)) {
        let right = known.right;
        report.tolerate(
            FaultKind::UnknownMember,
            member.at,
            &path,
            || format!("unknown member, it is called {right}"),
            || format!("read as {right}"),
        );
        return meant;
    }
    let close = names.iter().find(|known| is_close(name, known.right));
    match close {
        // Without what was misspelt a filter would match more than its writer meant.
        Some(close) if report.is_lenient() && close.right != COMMENT => {
            let message = format!("unknown member, probably {} is meant", close.right);
            report.fault(FaultKind::UnknownMember, member.at, &path, message);
        }
        _ => {
            report.tolerate(
                FaultKind::UnknownMember,
                member.at,
                &path,
                || unknown(close, names),
                || "unknown member, left out".to_owned(),
            );
        }
    }
    None
}

fn unknown(close: Option<&Name>, names: &[Name]) -> String {
    match close {
        Some(close) => format!("unknown member, did you mean {}", close.right),
        None => {
            let known: Vec<&str> = names.iter().map(|name| name.right).collect();
            format!("unknown member, expected one of {}", known.join(", "))
        }
    }
}

fn is_close(name: &str, right: &str) -> bool {
    // What no hand writes by mistake is not measured: the measure costs the product of lengths.
    if name.len() > 2 * right.len() {
        return false;
    }
    let (name, right) = (name.to_ascii_lowercase(), right.to_ascii_lowercase());
    let allowed = (right.len() / 3).clamp(1, 3);
    strsim::damerau_levenshtein(&name, &right) <= allowed
}

/// A member that must be there; the report tells when it is not.
pub(super) fn required<'n, 'a>(
    member: Option<&'n Node<'a>>,
    at: Position,
    path: &Path<'_>,
    name: &str,
    report: &mut Report,
) -> Option<&'n Node<'a>> {
    if member.is_none() {
        let message = format!("expected the member {}, found none", shown(name));
        report.fault(FaultKind::MissingMember, at, path, message);
    }
    member
}

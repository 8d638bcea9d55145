//! An answer before it is complete.

use crate::payload::delta::Fault;
use crate::payload::{Attribute, DataSet, Edits, PayloadSet, RowsBuilder, UnixTime, rows};
use crate::rtr::error::ProtocolError;
use crate::rtr::pdu::{Action, Pdu};
use crate::rtr::view::SessionId;

/// What has arrived of an answer.
#[derive(Debug)]
pub(super) struct Staging {
    session: SessionId,
    kind: Kind,
    count: usize,
}

#[derive(Debug)]
enum Kind {
    Full { rows: RowsBuilder, aspas: Edits },
    Increment(Edits),
}

impl Staging {
    /// The answer to a Reset Query begins.
    pub(super) fn full(session: SessionId) -> Self {
        let aspas = Edits::new(PayloadSet::default());
        let kind = Kind::Full {
            rows: RowsBuilder::new(),
            aspas,
        };
        Self {
            session,
            kind,
            count: 0,
        }
    }

    /// The answer to a Serial Query begins, which changes this set.
    pub(super) fn increment(session: SessionId, set: PayloadSet) -> Self {
        Self {
            session,
            kind: Kind::Increment(Edits::new(set)),
            count: 0,
        }
    }

    /// Takes a payload PDU.
    pub(super) fn push(
        &mut self,
        pdu: Pdu,
        unexpected: ProtocolError,
    ) -> Result<(), ProtocolError> {
        self.count += 1;
        match &mut self.kind {
            Kind::Full { rows, aspas } => stage_full(rows, aspas, pdu, unexpected),
            Kind::Increment(edits) => stage_edit(edits, pdu, unexpected),
        }
    }

    /// The session of the Cache Response.
    pub(super) const fn session(&self) -> SessionId {
        self.session
    }

    /// How many payloads have come.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The set once End of Data has come.
    pub(super) fn finish(self) -> Result<PayloadSet, ProtocolError> {
        match self.kind {
            Kind::Full { rows, aspas } => full_set(rows, aspas),
            Kind::Increment(edits) => Ok(edits.finish()),
        }
    }
}

fn stage_full(
    rows: &mut RowsBuilder,
    aspas: &mut Edits,
    pdu: Pdu,
    unexpected: ProtocolError,
) -> Result<(), ProtocolError> {
    let attribute = Attribute::new(None::<UnixTime>, rows::TrustAnchorId::default());
    match pdu {
        Pdu::Prefix {
            action: Action::Announce,
            vrp,
        } => rows.push_vrp(vrp, attribute),
        Pdu::RouterKey {
            action: Action::Announce,
            key,
        } => rows.push_router_key(key, attribute),
        Pdu::AnnounceAspa(aspa) => aspas.announce_aspa(aspa),
        Pdu::Prefix { .. } | Pdu::RouterKey { .. } | Pdu::WithdrawAspa { .. } => {
            return Err(ProtocolError::UnknownWithdrawal);
        }
        _ => return Err(unexpected),
    }
    Ok(())
}

fn stage_edit(edits: &mut Edits, pdu: Pdu, unexpected: ProtocolError) -> Result<(), ProtocolError> {
    let done = match pdu {
        Pdu::Prefix {
            action: Action::Announce,
            vrp,
        } => edits.announce_vrp(vrp),
        Pdu::Prefix {
            action: Action::Withdraw,
            vrp,
        } => edits.withdraw_vrp(vrp),
        Pdu::RouterKey {
            action: Action::Announce,
            key,
        } => edits.announce_router_key(key),
        Pdu::RouterKey {
            action: Action::Withdraw,
            key,
        } => edits.withdraw_router_key(key),
        Pdu::WithdrawAspa { customer } => edits.withdraw_aspa(customer),
        Pdu::AnnounceAspa(aspa) => {
            edits.announce_aspa(aspa);
            Ok(())
        }
        _ => return Err(unexpected),
    };
    done.map_err(|fault| match fault {
        Fault::DuplicateAnnouncement => ProtocolError::DuplicateAnnouncement,
        Fault::WithdrawalOfUnknown => ProtocolError::UnknownWithdrawal,
    })
}

/// The set of a full answer; that a record came twice shows when they are sorted. The ASPAs are
/// kept as they came: a list too long to be served can still be withdrawn.
fn full_set(rows: RowsBuilder, aspas: Edits) -> Result<PayloadSet, ProtocolError> {
    let count = rows.len();
    let rows = rows.finish();
    if rows.len() != count {
        return Err(ProtocolError::DuplicateAnnouncement);
    }
    let aspas = aspas.finish();
    Ok(DataSet::new(&rows).payload().clone().with_aspas_of(&aspas))
}

//! What is wrong with a query, and how that is reported.

use bytes::Bytes;

use crate::rtr::decoder::Header;
use crate::rtr::error::{ErrorCode, ProtocolError};
use crate::rtr::pdu::{self, ErrorReport, Pdu, pdu_type};
use crate::rtr::version::Version;

/// What the header of a query alone shows to be wrong.
pub(super) fn judge(version: Version, header: Header) -> Result<(), ProtocolError> {
    let pdu_type = header.pdu_type;
    if !pdu::type_exists(version, pdu_type) {
        return Err(ProtocolError::UnsupportedType { pdu_type });
    }
    let length = ProtocolError::Length {
        pdu_type,
        found: header.length,
    };
    match pdu_type {
        pdu_type::SERIAL_QUERY | pdu_type::RESET_QUERY => {
            match pdu::fixed_len(version, pdu_type) == Some(header.length) {
                true => Ok(()),
                false => Err(length),
            }
        }
        _ => Err(ProtocolError::Unexpected { pdu_type }),
    }
}

/// An Error Report as it is sent.
pub(super) fn report(version: Version, code: ErrorCode, offending: &[u8], text: &str) -> Bytes {
    let report = ErrorReport::new(code, offending, text);
    Pdu::ErrorReport(report).octets(version).into()
}

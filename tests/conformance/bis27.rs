//! draft-ietf-sidrops-8210bis-27 by its sections, where it goes beyond RFC 8210.

mod section_5_12;
mod section_5_3;

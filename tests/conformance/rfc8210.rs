//! RFC 8210 by its sections, and RFC 6810 where version 0 differs.

mod section_12;
mod section_5_1;
mod section_5_10;
mod section_6;
mod section_7;
mod section_8_2;
mod section_8_4;

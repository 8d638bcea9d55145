//! HOW IT IS SPOKEN: the RPKI-to-Router protocol without I/O.

//! THE WIRE: byte streams to and from peers. Knows nothing of RPKI.

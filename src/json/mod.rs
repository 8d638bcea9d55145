//! VRP documents: every known dialect in, ours out.

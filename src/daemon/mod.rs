//! HOW IT RUNS: the tasks of a server, what they tell each other, and when they stop.

pub mod source;

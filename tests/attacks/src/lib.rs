//! What the attack suite is made of: a launcher, a way to run a program with and without the
//! guard and to look at what came of it, sinks that attacks aim at, and a runner. The attacks
//! themselves are in `bin/victim`, what must come of each in `tests/suite`.
//!
//! Nothing here decides by what an attacker says of itself: sinks count what reached them, files
//! are looked at, and the guard's records are read from the log that the platform would get.

pub mod emf;
pub mod launcher;
pub mod outcome;
pub mod program;
pub mod record;
pub mod runner;
pub mod sink;

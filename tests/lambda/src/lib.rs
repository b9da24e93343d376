//! The function of these tests: what its handler does by the word in its event. The programs in `bin`
//! are this function with a guard, with one that degrades, and without one.

pub mod function;

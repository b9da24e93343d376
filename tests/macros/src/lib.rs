//! Nothing of its own: what is tested here is in `tests/`.

//! Every capacity of the core.

//! The rules of a node that owns address blocks.
//!
//! A pure value that is told which blocks are ours, which pools there are, what the routing
//! information base says and which host routes the kernel has; it says what is to be announced,
//! which kernel routes are wanted, and what a person has to hear.

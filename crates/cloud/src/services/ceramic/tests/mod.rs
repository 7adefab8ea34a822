//! Tests against recorded exchanges and against nodes of our own that behave as the versions do.

mod behaviour;
mod decode;
mod devices;
mod fake;
mod laws;
mod pages;
mod vectors;

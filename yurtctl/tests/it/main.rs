//! Component tests: yurtctl and a real apiserver. What controllers and kubelets would do, a test does ([`hand`]).
//!
//! One apiserver serves all tests, one after the other: our objects are cluster-wide. Not here: nodes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod hand;
mod site;

mod forget;
mod lock;
mod objects;
mod plugin;
mod revert;
mod rights;
mod survey;
mod tunnel;

//! Identities, the list of servers and front door B, against a real apiserver and with the rights that the manifests give;
//! the signer is yurt-controller-manager itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod site;
mod tunnel;

mod egress;
mod identity;
mod members;

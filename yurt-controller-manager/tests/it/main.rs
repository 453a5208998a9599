//! The manager against a real apiserver. Nobody evicts here, and no kubelet runs: what is judged is what it writes, with
//! which rights, and which replica does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod audit;
mod manager;
mod pool;

mod autonomy;
mod certificates;
mod interrupted;
mod leader;
mod pools;
mod rights;
mod servers;
mod tunnel;

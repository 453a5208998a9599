//! See `greeting` in `bodies.rs`.
#![no_main]

#[path = "../bodies.rs"]
#[expect(dead_code, reason = "the other target's body")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::greeting(data));

//! What the machine does to a program: errors of the kernel, descriptors that are used up, peers
//! that vanish, threads that die. What is to follow from each stands in `src/manual/faults.md`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod dead_threads;
mod descriptors;
// Shared with the tests of interoperability, which use more of it.
#[allow(dead_code)]
#[path = "../interop/link.rs"]
mod link;
mod log;
mod nat;
mod network;
#[path = "../common/pattern.rs"]
mod pattern;
#[allow(dead_code)]
#[path = "../common/payload.rs"]
mod payload;
mod process;
mod refusals;
#[path = "../common/relay.rs"]
mod relay;
// Shared with the tests of endpoints, which use more of it.
#[allow(dead_code)]
#[path = "../endpoint/support.rs"]
mod support;
mod unreachable;
#[allow(dead_code)]
#[path = "../interop/v2ray.rs"]
mod v2ray;

use mkcp::ConnectionError;

fn cause(error: &std::io::Error) -> Option<ConnectionError> {
    error.get_ref()?.downcast_ref().copied()
}

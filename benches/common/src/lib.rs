//! What the programs that measure mkcp beside other transports have in common.
//!
//! `links` compares them over emulated links, `paths` over the loopback interface. Both run the
//! example `perf` of mkcp and ends of other transports as processes of their own, and show medians
//! of what these print as tables and plots.

pub mod figures;
pub mod interrupt;
pub mod outputs;
pub mod perf;
pub mod plot;
pub mod process;
pub mod progress;
pub mod quic;
pub mod sockets;
pub mod usage;
pub mod v2ray;

//! Threads and sockets of an end, as its command line asks for them.

use mkcp::EndpointBuilder;

/// What an endpoint has of its own, beside its transport.
#[derive(clap::Args)]
#[command(next_help_heading = "Threads and sockets")]
pub(crate) struct Machinery {
    /// Threads that serve sessions [default: one less than there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: Option<u8>,

    /// Threads that read from the network, each with a socket at the same address (SO_REUSEPORT)
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    poll_threads: Option<u8>,

    /// Bytes of receive buffer to ask the system for; it may grant less [default: 4194304]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    recv_buffer: Option<u32>,

    /// Bytes of send buffer to ask the system for; it may grant less [default: 4194304]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    send_buffer: Option<u32>,
}

impl Machinery {
    /// Whether the command line asks for anything.
    pub(crate) fn is_given(&self) -> bool {
        self.workers.is_some()
            || self.poll_threads.is_some()
            || self.recv_buffer.is_some()
            || self.send_buffer.is_some()
    }

    pub(crate) fn apply(&self, mut builder: EndpointBuilder) -> EndpointBuilder {
        if let Some(workers) = self.workers {
            builder = builder.workers(workers.into());
        }
        if let Some(threads) = self.poll_threads {
            builder = builder.poll_threads(threads.into());
        }
        if let Some(bytes) = self.recv_buffer {
            builder = builder.recv_buffer_size(bytes as usize);
        }
        if let Some(bytes) = self.send_buffer {
            builder = builder.send_buffer_size(bytes as usize);
        }
        builder
    }
}

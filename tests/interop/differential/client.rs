//! A client without a protocol: it sends what it is told, and listens.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
};

use mkcp::{
    Config,
    internal::{
        packet::{NonceSource, PacketCodec},
        wire::Segments,
    },
};

use super::{
    datagram::{self, Datagram},
    outcome::Outcome,
};

/// What the last session of a case says.
pub(super) const FENCE: &str = "fence";

#[derive(Debug)]
pub(super) struct Client {
    /// Two for the case, and one for the fence.
    sockets: [UdpSocket; 3],
    config: Config,
    codec: PacketCodec,
    nonces: NonceSource,
    /// The last datagram, as it was sent.
    sent: Vec<u8>,
}

impl Client {
    pub(super) fn new(config: &Config, server: SocketAddr) -> Self {
        let socket = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(server).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Self {
            sockets: [0, 1, 2].map(socket),
            config: config.clone(),
            codec: PacketCodec::new(config),
            nonces: NonceSource::default(),
            sent: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, datagram: &Datagram) {
        self.sent = datagram.seal(&self.config, &mut self.nonces);
        self.copy(datagram.socket);
    }

    /// Sends the last datagram once more, byte for byte.
    pub(super) fn copy(&self, socket: usize) {
        self.sockets[socket].send(&self.sent).unwrap();
    }

    pub(super) fn send_fence(&mut self) {
        self.send(&datagram::data(0, FENCE).through_socket(2));
    }

    /// Notes all answers that are there.
    pub(super) fn hear(&self, outcome: &mut Outcome) {
        for (number, socket) in self.sockets[..2].iter().enumerate() {
            self.hear_on(number, socket, outcome);
        }
    }

    /// Notes the answers to the fence.
    pub(super) fn hear_fence(&self, outcome: &mut Outcome) {
        self.hear_on(2, &self.sockets[2], outcome);
    }

    fn hear_on(&self, number: usize, socket: &UdpSocket, outcome: &mut Outcome) {
        let mut buffer = [0; 2048];
        loop {
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the server is gone: {error}"),
            };
            let plaintext = self.codec.open(&mut buffer[..length]).unwrap();
            for segment in Segments::new(plaintext) {
                outcome.hear(number, &segment);
            }
        }
    }
}

//! The sockets of the relay, and who is behind them.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket},
};

use mio::{Interest, Registry, Token, net::UdpSocket};
use socket2::SockRef;

use super::Exit;
use crate::forgery::Forger;

/// Asked of the system; it may grant less.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Sweeps that a client may be silent for. Time would not do: while the whole process stands still
/// nobody says anything.
const SILENT_SWEEPS: u32 = 4;

/// Where a datagram comes from. What comes from a client goes to its server, and the other way
/// round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Client(Token),
    Server(Token),
}

pub(super) struct Sockets {
    registry: Registry,
    entrances: Vec<Entrance>,
    flows: BTreeMap<Token, Flow>,
    by_client: BTreeMap<(usize, SocketAddr), Token>,
    next_token: usize,
}

/// Where the clients of a lane send to.
struct Entrance {
    socket: UdpSocket,
    exit: Exit,
}

/// A client of a lane, with its socket towards the server.
struct Flow {
    lane: usize,
    client: SocketAddr,
    socket: UdpSocket,
    silent_sweeps: u32,
}

impl Sockets {
    pub(super) fn open(registry: Registry, exits: Vec<Exit>) -> io::Result<Self> {
        let open = |(lane, exit)| {
            let mut socket = bind()?;
            registry.register(&mut socket, Token(lane), Interest::READABLE)?;
            Ok(Entrance { socket, exit })
        };
        let entrances: Vec<_> = exits
            .into_iter()
            .enumerate()
            .map(open)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            registry,
            next_token: entrances.len(),
            entrances,
            flows: BTreeMap::new(),
            by_client: BTreeMap::new(),
        })
    }

    pub(super) fn entrances(&self) -> io::Result<Vec<SocketAddr>> {
        let entrances = self.entrances.iter();
        entrances
            .map(|entrance| entrance.socket.local_addr())
            .collect()
    }

    /// The next datagram from this socket, if there is one.
    pub(super) fn receive(
        &mut self,
        token: Token,
        buffer: &mut [u8],
    ) -> io::Result<Option<(usize, Place)>> {
        if let Some(entrance) = self.entrances.get(token.0) {
            let Some((length, client)) = present(entrance.socket.recv_from(buffer))? else {
                return Ok(None);
            };
            let flow = self.flow(token.0, client)?;
            return Ok(Some((length, Place::Client(flow))));
        }
        let Some(flow) = self.flows.get_mut(&token) else {
            return Ok(None);
        };
        flow.silent_sweeps = 0;
        let length = present(flow.socket.recv(buffer))?;
        Ok(length.map(|length| (length, Place::Server(token))))
    }

    /// The flow of a client, new or known.
    fn flow(&mut self, lane: usize, client: SocketAddr) -> io::Result<Token> {
        if let Some(&token) = self.by_client.get(&(lane, client)) {
            if let Some(flow) = self.flows.get_mut(&token) {
                flow.silent_sweeps = 0;
            }
            return Ok(token);
        }
        let token = Token(self.next_token);
        self.next_token += 1;
        let mut socket = bind()?;
        socket.connect(self.entrances[lane].exit.server)?;
        self.registry
            .register(&mut socket, token, Interest::READABLE)?;
        let flow = Flow {
            lane,
            client,
            socket,
            silent_sweeps: 0,
        };
        self.flows.insert(token, flow);
        self.by_client.insert((lane, client), token);
        Ok(token)
    }

    pub(super) fn forger(&self, from: Place) -> Option<&Forger> {
        let (Place::Client(token) | Place::Server(token)) = from;
        let lane = self.flows.get(&token)?.lane;
        self.entrances[lane].exit.forger.as_ref()
    }

    /// Sends a datagram to the other side. What the system refuses is lost, as anywhere.
    pub(super) fn pass_on(&self, from: Place, datagram: &[u8]) {
        let sent = match from {
            Place::Client(token) => self
                .flows
                .get(&token)
                .map(|flow| flow.socket.send(datagram)),
            Place::Server(token) => self.flows.get(&token).map(|flow| {
                let entrance = &self.entrances[flow.lane].socket;
                entrance.send_to(datagram, flow.client)
            }),
        };
        if let Some(Err(error)) = sent {
            log::debug!("{from:?}: {error}");
        }
    }

    /// Forgets clients that are long gone.
    pub(super) fn sweep(&mut self) {
        let (flows, by_client) = (&mut self.flows, &mut self.by_client);
        flows.retain(|_, flow| {
            flow.silent_sweeps += 1;
            let stays = flow.silent_sweeps <= SILENT_SWEEPS;
            if !stays {
                by_client.remove(&(flow.lane, flow.client));
            }
            stays
        });
    }
}

fn bind() -> io::Result<UdpSocket> {
    let socket = StdSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    Ok(UdpSocket::from_std(socket))
}

/// `None` if there is no datagram; a word about one that was refused is none.
fn present<T>(received: io::Result<T>) -> io::Result<Option<T>> {
    match received {
        Ok(datagram) => Ok(Some(datagram)),
        Err(error) if is_nothing(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_nothing(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        kind,
        ConnectionRefused | ConnectionReset | Interrupted | WouldBlock
    )
}

//! Two blocking UDP sockets: the floor of a round trip.

use std::{
    io,
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::{PATIENCE, Ping, local, report};

pub(super) fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind(local())?;
    report::ready(socket.local_addr()?)?;
    let mut buffer = [0; 2048];
    loop {
        let (count, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..count], from)?;
    }
}

pub(super) fn ping(options: &Ping) -> io::Result<()> {
    let socket = UdpSocket::bind(local())?;
    socket.connect(options.target.connect)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut rounds = report::Rounds::default();
    round(&socket)?;
    let started = Instant::now();
    for _ in 0..options.rounds {
        if started.elapsed() > options.target.time() {
            break;
        }
        match round(&socket) {
            Ok(time) => rounds.add(time),
            Err(error) => rounds.fail(&error),
        }
    }
    report::print(rounds.to_json(started))
}

fn round(socket: &UdpSocket) -> io::Result<Duration> {
    let mut message = [0; 64];
    let sent = Instant::now();
    socket.send(&message)?;
    socket.recv(&mut message)?;
    Ok(sent.elapsed())
}

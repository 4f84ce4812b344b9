//! The receiving end of TCP.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use bench_common::interrupt;

use super::counter::{Counter, Window};

const READ: usize = 256 * 1024;
/// How often to look for a signal.
const LOOK: Duration = Duration::from_millis(20);
/// After such a silence the sender is told how much has come.
const SILENCE: Duration = Duration::from_millis(200);

/// Receives one connection, and prints what came as JSON
///
/// Whenever nothing has come for a while, the sender is told the number of bytes, as 8 bytes in
/// big-endian order.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,

    #[command(flatten)]
    window: Window,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    interrupt::catch()?;
    let listener = TcpListener::bind(options.listen)?;
    listener.set_nonblocking(true)?;
    let Some(stream) = accept(&listener)? else {
        return Ok(());
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut counter = Counter::new(options.window);
    let result = receive(&stream, &mut counter);
    println!("{}", counter.to_json());
    result
}

/// The first connection, unless there is a signal first.
fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    while !interrupt::is_set() {
        match listener.accept() {
            Ok((stream, _)) => return Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(LOOK),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn receive(mut stream: &TcpStream, counter: &mut Counter) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    let mut told = 0;
    while !interrupt::is_set() {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => counter.add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if told == counter.bytes => {}
            Err(_) => {
                told = counter.bytes;
                stream.write_all(&told.to_be_bytes())?;
            }
        }
    }
    Ok(())
}

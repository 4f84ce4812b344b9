//! Reading what a server sends without end.

use std::{
    io::{self, Read},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use super::Span;
use crate::{
    PATIENCE, payload,
    report::{AFTER_CANCEL, Report},
};

const READ: usize = 256 * 1024;
/// How long to see what still comes after a cancel.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Reads what it should, and tells when that was done.
pub(super) fn run(stream: &MaybeTlsStream, span: Span, report: &mut Report) -> io::Result<Instant> {
    payload::write(stream, 0, 1)?;
    let finished = match span {
        Span::Bytes(share) => read_share(stream, share, report)?,
        Span::Until(deadline) | Span::Cancel(deadline) => read_until(stream, deadline, report)?,
    };
    if let Span::Cancel(_) = span {
        cancel(stream, report)?;
    }
    // The server is still sending; that it is cut off here is no failure.
    if let Err(error) = stream.try_clone()?.close() {
        log::debug!("close after download: {error}");
    }
    Ok(finished)
}

fn read_share(mut stream: &MaybeTlsStream, share: u64, report: &mut Report) -> io::Result<Instant> {
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; READ];
    let mut missing = share;
    while missing > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(missing).unwrap_or(usize::MAX));
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        report.add_bytes(count as u64);
        missing -= count as u64;
    }
    Ok(Instant::now())
}

fn read_until(
    mut stream: &MaybeTlsStream,
    deadline: Instant,
    report: &mut Report,
) -> io::Result<Instant> {
    let mut buffer = vec![0; READ];
    loop {
        let now = Instant::now();
        if now >= deadline {
            return Ok(now);
        }
        stream.get_ref().set_read_timeout(Some(deadline - now))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => report.add_bytes(count as u64),
            Err(_) if Instant::now() >= deadline => {}
            Err(error) => return Err(error),
        }
    }
}

/// Stops reading for good, and reports what the server sends all the same.
fn cancel(stream: &MaybeTlsStream, report: &mut Report) -> io::Result<()> {
    let before = stream.get_ref().stats().datagrams_received;
    stream.shutdown(Shutdown::Both)?;
    thread::sleep(AFTERMATH);
    let after = stream.get_ref().stats().datagrams_received;
    report.add_count(AFTER_CANCEL, after - before);
    Ok(())
}

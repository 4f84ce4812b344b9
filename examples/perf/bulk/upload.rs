//! Writing, while what may come back is compared.

use std::{
    io::{self, Read},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use super::{Span, delivered};
use crate::{
    PATIENCE,
    payload::{self, Answer},
    report::Report,
};

const READ: usize = 256 * 1024;
/// How often the end of an upload is looked for: nothing tells it, short of closing the stream.
const LOOK: Duration = Duration::from_millis(1);
/// How long after the last acknowledgement an answer may begin.
const HESITATION: Duration = Duration::from_millis(200);

/// Writes what it should, and tells when that was done.
pub(super) fn run(stream: &MaybeTlsStream, span: Span, report: &mut Report) -> io::Result<Instant> {
    match span {
        Span::Bytes(share) => write_share(stream, share, report),
        Span::Until(deadline) | Span::Cancel(deadline) => write_until(stream, deadline, report),
    }
}

/// Writes until the time has come. What comes back until then is compared, not waited for.
fn write_until(
    stream: &MaybeTlsStream,
    deadline: Instant,
    report: &mut Report,
) -> io::Result<Instant> {
    let (recognised, answer) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_answer(stream, u64::MAX, &recognised));
        let written = payload::write_until(stream, deadline);
        let finished = Instant::now();
        report.add_bytes(delivered(&stream.get_ref().stats(), false));
        let echoes = answer.try_recv().is_ok();
        let closed = written.and_then(|()| match stream.try_clone()?.close() {
            Err(error) if echoes => {
                // What it sends back is cut off here, which it may take amiss.
                log::debug!("close after upload: {error}");
                Ok(())
            }
            result => result,
        });
        if closed.is_err() {
            stream.get_ref().reset(); // Wakes the reader.
        }
        match reader.join() {
            Ok(Err(reason)) if reason.kind() == io::ErrorKind::InvalidData => Err(reason),
            Ok(_) => closed.map(|()| finished),
            Err(_) => Err(io::Error::other("the reader panicked")),
        }
    })
}

/// Writes a share while another thread reads what may come back.
fn write_share(stream: &MaybeTlsStream, share: u64, report: &mut Report) -> io::Result<Instant> {
    let (recognised, answer) = mpsc::sync_channel(1);
    let finished = thread::scope(|scope| {
        let reader = scope.spawn(move || read_answer(stream, share, &recognised));
        let answered = || match reader.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("the reader panicked")),
        };
        match payload::write(stream, 0, share).and_then(|()| settle(stream, &answer)) {
            Ok(Settled::Acknowledged(at)) => stream.try_clone()?.close().map(|()| at),
            Ok(Settled::Answered) => answered().and_then(|at| {
                stream.try_clone()?.close()?;
                Ok(at)
            }),
            Err(error) => {
                stream.get_ref().reset(); // Wakes the reader, unless it was the reader that gave up.
                match answered() {
                    Err(reason) if reason.kind() == io::ErrorKind::InvalidData => Err(reason),
                    _ => Err(error),
                }
            }
        }
    })?;
    report.add_bytes(share);
    Ok(finished)
}

/// How an upload ends.
enum Settled {
    /// The peer had all at this time, and sends nothing back.
    Acknowledged(Instant),
    /// The server sends back what it gets, or the reader failed: the reader knows the rest.
    Answered,
}

/// Waits until all is acknowledged or an answer has begun.
fn settle(stream: &MaybeTlsStream, answer: &Receiver<()>) -> io::Result<Settled> {
    let (mut queued, mut moved) = (u64::MAX, Instant::now());
    while queued > 0 {
        match answer.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(Settled::Answered),
            Err(RecvTimeoutError::Timeout) if moved.elapsed() > PATIENCE => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = stream.get_ref().stats().send_queue;
        if now != queued {
            (queued, moved) = (now, Instant::now());
        }
    }
    match answer.recv_timeout(HESITATION) {
        Err(RecvTimeoutError::Timeout) => Ok(Settled::Acknowledged(moved)),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(Settled::Answered),
    }
}

/// Reads until all of an echo is back, or until the stream is closed if there is none.
fn read_answer(
    mut stream: &MaybeTlsStream,
    share: u64,
    recognised: &SyncSender<()>,
) -> io::Result<Instant> {
    let mut buffer = vec![0; READ];
    let mut answer = None;
    let mut at = 0;
    while at < share || answer == Some(Answer::Other) {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = &buffer[..count];
        let answer = *answer.get_or_insert_with(|| Answer::recognise(bytes));
        if !answer.is_right(at, bytes) {
            stream.get_ref().reset(); // Wakes the writer.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the answer is wrong after byte {at}"),
            ));
        }
        if at == 0 && answer != Answer::Other {
            stream.get_ref().set_read_timeout(Some(PATIENCE))?;
            let _ = recognised.try_send(());
        }
        at += count as u64;
    }
    Ok(Instant::now())
}

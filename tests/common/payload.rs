//! Much to send, and whether it arrives.

use std::{
    io::{self, Read, Write},
    sync::LazyLock,
    thread,
};

use rand::{RngCore, SeedableRng, rngs::SmallRng};

/// 5 MB of random bytes, the same in all tests of a run.
pub(crate) static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut payload = vec![0; 5_000_000];
    SmallRng::from_os_rng().fill_bytes(&mut payload);
    payload
});

/// Writes in another thread what this one reads back and compares. If that fails, `end` is to wake
/// the writer.
pub(crate) fn echo<S: Sync>(socket: &S, payload: &[u8], end: impl FnOnce()) -> io::Result<()>
where
    for<'a> &'a S: Read + Write,
{
    thread::scope(|scope| {
        let mut writing = socket;
        let writer = scope.spawn(move || writing.write_all(payload));
        let compared = expect(socket, payload);
        if compared.is_err() {
            end();
        }
        let written = writer.join().unwrap();
        compared.and(written)
    })
}

/// Reads as many bytes as are expected, and compares them.
pub(crate) fn expect<S>(mut socket: &S, expected: &[u8]) -> io::Result<()>
where
    for<'a> &'a S: Read,
{
    let mut buffer = vec![0; 64 * 1024];
    let mut at = 0;
    while at < expected.len() {
        let most = buffer.len().min(expected.len() - at);
        let count = socket.read(&mut buffer[..most])?;
        if count == 0 {
            let text = format!("ended after {at} of {} bytes", expected.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if buffer[..count] != expected[at..at + count] {
            return Err(io::Error::other(format!("changed bytes after {at}")));
        }
        at += count;
    }
    Ok(())
}

/// Whether the connection ended before its time. v2ray does that to busy ones now and then,
/// through a race in its inactivity check, so that a transfer through it may be tried once more.
/// One that stalls, or changes bytes, may not.
pub(crate) fn closed_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

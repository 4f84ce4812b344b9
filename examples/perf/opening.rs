//! Many streams at once: their beginning and their end.

use std::{io, net::Shutdown};

use mkcp::v2ray::MaybeTlsStream;

use crate::{PATIENCE, client::Client, payload, report::Report};

/// Streams that are opened before the first answers are read: few enough for an accept queue.
const AT_ONCE: u32 = 64;

/// Opens streams batch by batch, and gives up after a batch of which none works. Each has sent a
/// byte and had it back.
pub(crate) fn open_all(client: &Client, count: u32, report: &mut Report) -> Vec<MaybeTlsStream> {
    let mut streams = Vec::new();
    let mut missing = count;
    while missing > 0 {
        let some = missing.min(AT_ONCE);
        let batch = (0..some).filter_map(|_| kept(open(client), report));
        let batch = exchange(batch.collect(), report);
        if batch.is_empty() {
            break;
        }
        streams.extend(batch);
        missing -= some;
    }
    streams
}

fn open(client: &Client) -> io::Result<MaybeTlsStream> {
    let stream = client.connect()?;
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    stream.get_ref().set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a byte on every stream, then waits for all to come back; keeps the streams that work.
fn exchange(mut batch: Vec<MaybeTlsStream>, report: &mut Report) -> Vec<MaybeTlsStream> {
    batch.retain(|stream| kept(payload::write(stream, 0, 1), report).is_some());
    batch.retain(|stream| kept(payload::read_back(stream, &mut [0]), report).is_some());
    batch
}

/// Ends all streams, and then waits until all have delivered.
pub(crate) fn close_all(streams: Vec<MaybeTlsStream>, report: &mut Report) {
    for stream in &streams {
        let _ = stream.shutdown(Shutdown::Both); // what is wrong, `close` tells
    }
    for stream in streams {
        kept(stream.close(), report);
    }
}

fn kept<T>(result: io::Result<T>, report: &mut Report) -> Option<T> {
    result.map_err(|error| report.add_error(&error)).ok()
}

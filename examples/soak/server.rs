//! The server's side of a session.

use std::{
    io::{self, ErrorKind},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use crate::{
    client::must_be_reset,
    content::Content,
    duplex,
    ledger::Ledger,
    line::{Line, Pace},
    order::{Kind, Order},
};

/// Does what the client ordered, to the end of the session. A reset is told a few times; where all
/// of that gets lost and the client's socket is gone, nobody says it again after `vain_wait`.
///
/// # Errors
///
/// Whatever is not as it must be.
pub(crate) fn run(
    line: &Line<'_>,
    order: &Order,
    vain_wait: Duration,
    ledger: &Ledger,
) -> io::Result<()> {
    let (up, down) = (Content::up(order.seed), Content::down(order.seed));
    line.begin("moving bytes");
    match order.kind {
        Kind::Ask | Kind::Idle => {
            for piece in order.pieces() {
                line.expect(up, piece.clone(), Pace::Fast)?;
                line.send(down, piece)?;
            }
        }
        Kind::Both => duplex::run(
            || line.send(down, 0..order.down),
            || line.expect(up, 0..order.up, Pace::Fast),
        )?,
        Kind::ClientResets => {
            line.send(down, 0..order.down)?;
            line.set_read_timeout(vain_wait)?;
            return match line.expect(up, 0..order.up, Pace::Fast) {
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    line.reset();
                    ledger.unheard_resets.fetch_add(1, Relaxed);
                    Ok(())
                }
                end => must_be_reset(end),
            };
        }
        Kind::ServerResets => {
            line.expect(up, 0..order.up, Pace::Fast)?;
            line.send(down, 0..order.down / 2)?;
            line.reset();
            return Ok(());
        }
        Kind::Drop => {
            line.expect(up, 0..order.up, Pace::Fast)?;
            return line.expect_end();
        }
        Kind::HalfClose => {
            line.expect(up, 0..order.up, Pace::Fast)?;
            if line.has_tls() {
                line.expect_end()?; // Without TLS it cannot be told yet.
            }
            line.send(down, 0..order.down)?;
        }
        Kind::Upload | Kind::Download | Kind::Slow | Kind::Mute => {
            line.expect(up, 0..order.up, Pace::Fast)?;
            line.send(down, 0..order.down)?;
        }
    }
    line.begin("giving the receipt");
    line.send_receipt(order)?;
    if order.kind != Kind::HalfClose {
        line.begin("waiting for the end");
        line.expect_end()?;
    }
    line.begin("closing");
    if order.kind == Kind::HalfClose {
        return line.close();
    }
    line.close_as_second(ledger)
}

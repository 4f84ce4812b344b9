//! The client's side of a session.

use std::{io, time::Duration};

use crate::{
    content::Content,
    duplex,
    ledger::Ledger,
    line::{Line, Pace},
    order::{Kind, Order},
    stop::Stop,
};

/// How long idle sessions say nothing.
pub(crate) struct Pauses<'a> {
    pub(crate) longest: Duration,
    /// Ends them all.
    pub(crate) stop: &'a Stop,
}

/// Does what the order says, to the end of the session.
///
/// # Errors
///
/// Whatever is not as it must be.
pub(crate) fn run(
    line: &Line<'_>,
    order: &Order,
    pauses: &Pauses<'_>,
    ledger: &Ledger,
) -> io::Result<()> {
    let (up, down) = (Content::up(order.seed), Content::down(order.seed));
    if order.kind == Kind::Mute {
        return Ok(());
    }
    line.begin("ordering");
    line.send_order(order)?;
    line.begin("moving bytes");
    match order.kind {
        Kind::Ask | Kind::Idle => ask(line, order, pauses)?,
        Kind::Both => duplex::run(
            || line.send(up, 0..order.up),
            || line.expect(down, 0..order.down, Pace::Fast),
        )?,
        Kind::Slow => line.expect(down, 0..order.down, Pace::Slow(order.piece as usize))?,
        Kind::ClientResets => {
            line.send(up, 0..order.up / 2)?;
            line.expect(down, 0..order.down, Pace::Fast)?;
            line.reset();
            return Ok(());
        }
        Kind::ServerResets => {
            line.send(up, 0..order.up)?;
            let end = line.expect(down, 0..order.down, Pace::Fast);
            return must_be_reset(end);
        }
        Kind::Drop => return line.send(up, 0..order.up),
        Kind::HalfClose => {
            line.send(up, 0..order.up)?;
            line.end_writing()?;
            line.expect(down, 0..order.down, Pace::Fast)?;
        }
        Kind::Upload | Kind::Download | Kind::Mute => {
            line.send(up, 0..order.up)?;
            line.expect(down, 0..order.down, Pace::Fast)?;
        }
    }
    line.begin("waiting for the receipt");
    line.expect_receipt(order)?;
    if order.kind == Kind::HalfClose {
        line.begin("waiting for the end");
        line.expect_end()?;
        line.begin("closing");
        return line.close_as_second(ledger);
    }
    line.begin("closing");
    line.close()
}

/// Question and answer, piece by piece.
fn ask(line: &Line<'_>, order: &Order, pauses: &Pauses<'_>) -> io::Result<()> {
    let (up, down) = (Content::up(order.seed), Content::down(order.seed));
    for (number, piece) in order.pieces().enumerate() {
        if order.kind == Kind::Idle && number == 1 {
            pause(line, order.pause(pauses.longest), pauses.stop);
        }
        line.send(up, piece.clone())?;
        line.expect(down, piece, Pace::Fast)?;
    }
    Ok(())
}

/// Says nothing for a while, under the eyes of the watchdog.
fn pause(line: &Line<'_>, mut left: Duration, stop: &Stop) {
    const STEP: Duration = Duration::from_secs(1);
    while !left.is_zero() && !stop.wait(left.min(STEP)) {
        line.begin("asking again");
        left = left.saturating_sub(STEP);
    }
}

/// What has come before the reset was right; its end must not look like one.
pub(crate) fn must_be_reset(end: io::Result<()>) -> io::Result<()> {
    match end {
        Ok(()) => Err(io::Error::other("the peer's reset was not noticed")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error),
    }
}

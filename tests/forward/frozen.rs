//! Processes that are stopped in the midst of a transfer, as by Ctrl-Z, and go on.

use std::{io::Write, thread, time::Duration};

use rustix::process::Signal;

use crate::{
    process::{Chain, Server},
    service::{self, PAYLOAD, expect},
};

const STOPPED: Duration = Duration::from_secs(3);

/// Longer than any queue on the way holds.
const ROUNDS: usize = 10;

/// Has one process of a chain stand still while bytes go both ways.
fn stop_for_a_while(stopped: fn(&Chain) -> &Server) {
    let chain = Chain::plain(service::echo(), &[]);
    let socket = chain.entry.connect();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..ROUNDS {
                (&socket).write_all(&PAYLOAD).unwrap();
            }
        });
        expect(&socket, &PAYLOAD);
        stopped(&chain).signal(Signal::STOP);
        thread::sleep(STOPPED);
        assert!(!writer.is_finished(), "what was stopped?");
        stopped(&chain).signal(Signal::CONT);
        for _ in 1..ROUNDS {
            expect(&socket, &PAYLOAD);
        }
    });
}

#[test]
fn a_transfer_survives_a_server_that_is_stopped() {
    stop_for_a_while(|chain| &chain.exit);
}

#[test]
fn a_transfer_survives_a_client_that_is_stopped() {
    stop_for_a_while(|chain| &chain.entry);
}

//! A kernel that refuses to send: every error that it has for that, now and then or for a while.

use std::sync::atomic::AtomicBool;

use rustix::io::Errno;

use super::*;

/// What Linux gives for a full queue of an interface, a rule of a packet filter, a route that is
/// not there, a neighbour that is not there, and a path that takes no such length.
const LOSSES: [Errno; 5] = [
    Errno::NOBUFS,
    Errno::PERM,
    Errno::NETUNREACH,
    Errno::HOSTUNREACH,
    Errno::MSGSIZE,
];

/// Every fifth train is refused, and every fifth single datagram.
struct NowAndThen(Errno);

impl Mood for NowAndThen {
    fn disturb(&self, call: usize, _: &Socket, _: &Transmit<'_>) -> io::Result<()> {
        match call % 5 {
            4 => Err(self.0.into()),
            _ => Ok(()),
        }
    }
}

/// Everything is refused while it is switched on.
struct ForAWhile {
    error: Errno,
    on: AtomicBool,
}

impl Mood for ForAWhile {
    fn disturb(&self, _: usize, _: &Socket, _: &Transmit<'_>) -> io::Result<()> {
        match self.on.load(Ordering::SeqCst) {
            true => Err(self.error.into()),
            false => Ok(()),
        }
    }
}

#[test]
fn errors_now_and_then_are_losses() {
    for error in LOSSES {
        let (client, sender) = moody(NowAndThen(error));
        transfer(&client, &open(batched()));
        let stats = client.stats();
        let datagrams = sender.datagrams.load(Ordering::SeqCst) as u64;
        assert!(stats.send_errors > 0, "{error}: {stats:?}");
        assert!(stats.send_errors <= datagrams / 5, "{error}: {stats:?}");
        assert_eq!(stats.sessions_failed, 0, "{error}");
    }
}

#[test]
fn a_session_goes_on_when_errors_end() {
    for error in LOSSES.into_iter().chain([Errno::AGAIN]) {
        let (client, sender) = moody(ForAWhile {
            error,
            on: AtomicBool::new(false),
        });
        let server = open(batched());
        let listener = server.listen().unwrap();
        let listening = listener.try_clone().unwrap();
        echo(move || Ok(listening.accept()?.0));
        let stream = client.connect(server.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(&stream, 10_000);
        let before = client.stats();
        assert_eq!((before.send_errors, before.send_blocked), (0, 0));
        sender.mood.on.store(true, Ordering::SeqCst);
        let begun = sender.calls();
        thread::scope(|scope| {
            scope.spawn(|| exchange(&stream, BYTES));
            let deadline = Instant::now() + PATIENCE;
            while sender.calls() < begun + 3 {
                assert!(Instant::now() < deadline, "{error}: not tried again");
                thread::sleep(Duration::from_millis(1));
            }
            sender.mood.on.store(false, Ordering::SeqCst);
        });
        let stats = client.stats();
        let (lost, held_back) = (stats.send_errors > 0, stats.send_blocked > 0);
        let full = error == Errno::AGAIN;
        assert_eq!((lost, held_back), (!full, full), "{error}: {stats:?}");
        listener.close();
    }
}

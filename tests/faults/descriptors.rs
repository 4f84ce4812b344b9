//! A process that may open nothing more.

use std::{fs::File, io};

use mkcp::Stream;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::{
    process::alone,
    support::{ARRANGEMENTS, EchoServer, PATIENCE, bytes, eventually, exchange},
};

/// How many descriptors the process may have.
const LIMIT: u64 = 100;

#[test]
fn without_descriptors_nothing_opens_and_sessions_go_on() {
    let name = "descriptors::without_descriptors_nothing_opens_and_sessions_go_on";
    alone(name, &[], || {
        let server = EchoServer::start(ARRANGEMENTS[0]());
        let client = ARRANGEMENTS[1]().bind("127.0.0.1:0").unwrap();
        let stream = client.connect(server.address).unwrap();
        exchange(&stream, b"before");

        let mut rest = Rest::take_all();
        exchange(&stream, &bytes(500_000));
        // A session over a socket that is there needs none.
        exchange(&client.connect(server.address).unwrap(), b"another");
        for builder in ARRANGEMENTS {
            let (endpoint, needed) = rest.open_with_least(|| builder().bind("127.0.0.1:0"));
            // A socket, and for its thread the poll facility, twice, and a waker; the timer may
            // be missing.
            assert_eq!(needed, 4);
            exchange(
                &endpoint.connect(server.address).unwrap(),
                b"and yet another",
            );
            drop(endpoint);
            eventually("its descriptors are free again", PATIENCE, || {
                rest.free() == needed
            });
            rest.refill();
        }
        // The first socket of its own brings a thread, the others do not.
        let (first, needed) = rest.open_with_least(|| Stream::connect(server.address));
        assert_eq!(needed, 4);
        exchange(&first, b"over its own socket");
        rest.refill();
        let (second, needed) = rest.open_with_least(|| Stream::connect(server.address));
        assert_eq!(needed, 1);
        exchange(&second, &bytes(100_000));
        exchange(&stream, &bytes(100_000));
    });
}

/// The descriptors that the process may still open, taken.
struct Rest(Vec<File>);

impl Rest {
    fn take_all() -> Self {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit {
            current: Some(LIMIT),
            maximum,
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        Self(take_all())
    }

    fn refill(&mut self) {
        self.0.append(&mut take_all());
    }

    /// How many can be opened now.
    fn free(&self) -> usize {
        take_all().len()
    }

    /// Gives one descriptor after the other back until `open` succeeds. Each failure must say why,
    /// and leave nothing open.
    fn open_with_least<T>(&mut self, open: impl Fn() -> io::Result<T>) -> (T, usize) {
        for free in 0.. {
            match open() {
                Ok(opened) => return (opened, free),
                Err(error) => assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error())),
            }
            eventually("nothing is left open", PATIENCE, || self.free() == free);
            self.0.pop().unwrap();
        }
        unreachable!()
    }
}

fn take_all() -> Vec<File> {
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
                return files;
            }
        }
    }
}

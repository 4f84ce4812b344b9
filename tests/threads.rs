//! What threads do when there is nothing to do, and that they end. Alone in this file, because
//! it looks at all threads of its process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Endpoint, Listener, Stream};

const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a thread, by its `stat`, has ended. Whoever has joined it may find it there for a moment
/// still: the kernel tells first and then tidies up.
fn is_exiting(stat: &str) -> bool {
    const PF_EXITING: u64 = 4;
    // Behind the name, which may hold anything, flags are the seventh field.
    let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let flags: u64 = fields.nth(6).unwrap().parse().unwrap();
    flags & PF_EXITING != 0
}

/// Our threads by name, each with how often it has gone to sleep.
fn threads() -> BTreeMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let mut sleeps = BTreeMap::new();
    for task in tasks.filter_map(Result::ok) {
        // A thread may end while we look.
        let read = |file: &str| fs::read_to_string(task.path().join(file));
        let (Ok(status), Ok(stat)) = (read("status"), read("stat")) else {
            continue;
        };
        if is_exiting(&stat) {
            continue;
        }
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let Some(name) = field("Name:").filter(|name| name.starts_with("mkcp-")) else {
            continue;
        };
        let count = field("voluntary_ctxt_switches:")
            .unwrap()
            .parse::<u64>()
            .unwrap();
        *sleeps.entry(name).or_default() += count;
    }
    sleeps
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: {:?}", threads());
        thread::sleep(Duration::from_millis(2));
    }
}

/// How often threads of ours woke within a while.
fn wakes_within(time: Duration) -> u64 {
    let before: u64 = threads().values().sum();
    thread::sleep(time);
    threads().values().sum::<u64>() - before
}

#[test]
fn threads_sleep_when_idle_and_end_with_their_work() {
    let descriptors_before = descriptors();
    names_and_silence_of_an_endpoint();
    silence_of_an_idle_connection();
    threads_end_after_shutdown();
    threads_end_after_the_last_handle();
    client_threads_end_and_come_back();
    eventually("descriptors are left", || {
        descriptors() <= descriptors_before
    });
}

fn names_and_silence_of_an_endpoint() {
    let endpoint = Endpoint::builder().workers(2).bind("127.0.0.1:0").unwrap();
    eventually("threads start", || threads().len() == 3);
    let names: Vec<String> = threads().into_keys().collect();
    assert_eq!(names, ["mkcp-poll-0", "mkcp-worker-0", "mkcp-worker-1"]);
    eventually("threads go to sleep", || {
        wakes_within(Duration::from_millis(20)) == 0
    });
    assert_eq!(wakes_within(Duration::from_millis(300)), 0);
    endpoint.shutdown(PATIENCE).unwrap();
    assert_eq!(threads(), BTreeMap::new());
}

fn silence_of_an_idle_connection() {
    let (client, server) = pair();
    (&client).write_all(b"hello").unwrap();
    (&server).read_exact(&mut [0; 5]).unwrap();
    // Once all is acknowledged, keep-alive alone is left, and that is seconds away.
    eventually("all is acknowledged", || {
        wakes_within(Duration::from_millis(300)) == 0
    });
    close(client, server);
    eventually("threads end", || threads().is_empty());
}

fn pair() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
    (&client).write_all(b"!").unwrap();
    let (server, _) = listener.accept_timeout(PATIENCE).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    (&server).read_exact(&mut [0; 1]).unwrap();
    (client, server)
}

fn close(client: Stream, server: Stream) {
    let other = thread::spawn(move || server.close());
    client.close().unwrap();
    other.join().unwrap().unwrap();
}

fn threads_end_after_shutdown() {
    let (server, client) = (
        Endpoint::builder().bind("127.0.0.1:0").unwrap(),
        Endpoint::builder().bind("127.0.0.1:0").unwrap(),
    );
    let listener = server.listen().unwrap();
    let stream = client.connect(server.local_addr().unwrap()).unwrap();
    (&stream).write_all(b"!").unwrap();
    let accepted = listener.accept_timeout(PATIENCE).unwrap();
    client.shutdown(PATIENCE).unwrap();
    server.shutdown(Duration::ZERO).unwrap();
    assert_eq!(threads(), BTreeMap::new());
    // The handles are still there, and say so.
    assert!((&accepted.0).write(b"?").is_err());
    assert!((&stream).write(b"?").is_err());
}

fn threads_end_after_the_last_handle() {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    drop(listener);
    assert!(start.elapsed() < Duration::from_secs(1), "dropping waits");
    eventually("threads end", || threads().is_empty());
}

fn client_threads_end_and_come_back() {
    for _ in 0..3 {
        let (client, server) = pair();
        let before = threads();
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let others: Vec<_> = (0..20)
            .map(|_| Stream::connect(listener.local_addr().unwrap()).unwrap())
            .collect();
        // All sockets of the process share one pair of threads.
        assert_eq!(threads().len(), before.len());
        drop((others, listener, client, server));
        eventually("threads end", || threads().is_empty());
    }
}

//! What it costs a v2ray client that our server wants to know its address proven: the time from a
//! request to the last byte of a response, over a path with delay.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Endpoint, Header, Listener, Stream};

use crate::{
    delay::DelayedPath,
    link::Link,
    payload::{PAYLOAD, expect},
    v2ray::V2ray,
};

/// Long beside the up to 50 ms that v2ray takes to acknowledge, and beside what a busy machine adds.
const ROUND_TRIP: Duration = Duration::from_millis(400);
/// What a busy machine may add to the best time of several.
const MUCH_LESS: Duration = Duration::from_millis(50);
const REQUEST: usize = 500;
const RESPONSE: usize = 100_000;
/// One after the other. The address is unknown to the server at the first alone.
const CONNECTIONS: usize = 3;
/// Servers that count as one. Best times are compared: whatever disturbs makes for longer ones.
const SERVERS: usize = 4;
const DEFAULT_FACTOR: u32 = 3;
/// A request then allows more than a peer takes before it has to acknowledge something, as if
/// nothing had to be proven.
const BOUNDLESS: u32 = 100;

fn link() -> Link {
    Link::new(Header::Srtp, Some("correct horse"))
}

fn serve(factor: u32) -> Listener {
    let builder = Endpoint::builder().config(link().config());
    let builder = builder.amplification_factor(factor);
    let endpoint = builder.bind("127.0.0.1:0").unwrap();
    let listener = endpoint.listen().unwrap();
    let acceptor = listener.try_clone().unwrap();
    thread::spawn(move || {
        for stream in acceptor.incoming().map_while(Result::ok) {
            thread::spawn(move || respond(&stream));
        }
    });
    listener
}

fn respond(mut stream: &Stream) {
    expect(stream, &PAYLOAD[..REQUEST]).unwrap();
    stream.write_all(&PAYLOAD[..RESPONSE]).unwrap();
    // The peer closes; until then the connection is to stay.
    let _ = expect(stream, b"?");
}

fn time_response(entry: SocketAddr) -> Duration {
    let mut stream = TcpStream::connect(entry).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let asked = Instant::now();
    stream.write_all(&PAYLOAD[..REQUEST]).unwrap();
    expect(&stream, &PAYLOAD[..RESPONSE]).unwrap();
    asked.elapsed()
}

/// The best times of each connection, in order, of as many servers with this factor, each of which
/// knows nobody at first.
fn best_times(factor: u32) -> [Duration; CONNECTIONS] {
    let listeners: Vec<_> = (0..SERVERS).map(|_| serve(factor)).collect();
    let paths: Vec<_> = listeners
        .iter()
        .map(|listener| DelayedPath::towards(listener.local_addr().unwrap(), ROUND_TRIP))
        .collect();
    let links: Vec<_> = paths.iter().map(|path| (link(), path.address)).collect();
    let (_v2ray, entries) = V2ray::client(&links);
    let of_each = |&entry: &SocketAddr| [(); CONNECTIONS].map(|()| time_response(entry));
    let times: Vec<_> = thread::scope(|scope| {
        let timed = entries
            .iter()
            .map(|entry| scope.spawn(move || of_each(entry)));
        let timed: Vec<_> = timed.collect();
        timed
            .into_iter()
            .map(|times| times.join().unwrap())
            .collect()
    });
    println!("factor {factor}: {times:?}");
    listeners.iter().for_each(Listener::close);
    std::array::from_fn(|connection| times.iter().map(|times| times[connection]).min().unwrap())
}

#[test]
fn proving_an_address_costs_a_v2ray_client_half_a_round_trip_once_and_nothing_later() {
    // Made at its first use, which is not to be timed.
    LazyLock::force(&PAYLOAD);
    let [unbounded, ..] = best_times(BOUNDLESS);
    let bounded = best_times(DEFAULT_FACTOR);
    println!("{unbounded:?} without a bound, {bounded:?} with it");
    let [first, later @ ..] = bounded;
    assert!(first < unbounded + ROUND_TRIP / 2);
    for time in later {
        assert!(time < unbounded + MUCH_LESS);
    }
}

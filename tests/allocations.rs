//! A connection that has found its pace takes no memory for what it sends and receives, and one that
//! is idle keeps little.
#![allow(clippy::unwrap_used)]

use std::{
    alloc::System,
    io::{self, Read, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Config, Endpoint, Header, Listener, Security, Seed, Stream,
    internal::{
        connection::{Connection, Side},
        packet::{NonceSource, PacketCodec},
        wire::{Ack, Data, Numbers, Options, Segment, SeqNum, Timestamp},
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use transfer::Pair;

#[path = "../benches/transfer/mod.rs"]
mod transfer;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MIB: usize = 1024 * 1024;
/// Queues may still need more room than ever before, and what runs the tests allocates a little.
const FEW: usize = 10;

/// Bytes that are held, by whichever thread.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// How often memory was asked for, by whichever thread.
fn allocations(act: impl FnOnce()) -> usize {
    let count = || {
        let stats = ALLOCATOR.stats();
        stats.allocations + stats.reallocations
    };
    let before = count();
    act();
    count() - before
}

/// One test, because what one allocates all would count.
#[test]
fn nothing_is_allocated_for_a_datagram() {
    // First, while nothing else can give memory back.
    idle_sessions();
    what_a_hostile_peer_has_kept_is_counted();
    what_is_sent_again_and_again_is_not_remembered_each_time();
    what_is_left_of_much_takes_little();
    datagrams_are_sealed_and_opened();
    connections_in_virtual_time();
    streams_over_loopback();
}

fn datagrams_are_sealed_and_opened() {
    for security in [
        Security::None,
        Security::Simple,
        Security::Aes128Gcm(Seed::new("s")),
    ] {
        let config = Config::builder().security(security).header(Header::Srtp);
        let codec = PacketCodec::new(&config.build().unwrap());
        let (mut nonces, mut train) = (NonceSource::default(), Vec::new());
        let mut exchange = || {
            train.clear();
            for _ in 0..16 {
                codec.begin(&mut train);
                train.extend([7; 1000]);
                codec.end(&mut train);
            }
            let stride = train.len() / 16;
            codec.seal_train(&mut train, stride, &mut nonces).unwrap();
            let datagrams = train.chunks_mut(stride).map(|datagram| ((), datagram));
            assert!(codec.open_each(datagrams).all(|(_, opened)| opened.is_ok()));
        };
        exchange();
        let count = allocations(|| (0..100).for_each(|_| exchange()));
        assert!(count <= FEW, "{codec:?}: {count}");
    }
}

fn connections_in_virtual_time() {
    type Workload = fn(&mut Pair, usize);
    let bulk: Workload = |pair, times| pair.bulk(times * MIB);
    let requests: Workload = |pair, times| pair.requests(times * 100);
    // What a long gap holds up is more than what is kept; a small buffer has no long gaps.
    let small = || Config::builder().read_buffer(MIB / 4).build().unwrap();
    for (name, config, loss, workload) in [
        ("bulk", Config::default(), 0, bulk),
        ("bulk, 5 % lost", small(), 50, bulk),
        ("requests", Config::default(), 0, requests),
    ] {
        let mut pair = Pair::new(config, loss);
        workload(&mut pair, 32);
        // Now and then more is in flight than ever before; what each datagram needs shows always.
        let counts = (0..4).map(|_| allocations(|| workload(&mut pair, 8)));
        let count = counts.min().unwrap();
        assert!(count <= FEW, "{name}: {count}");
    }
}

fn streams_over_loopback() {
    const PART: usize = 128 * MIB;
    const TIMES: usize = 3;
    let config = Config::builder()
        .security(Security::Simple)
        .build()
        .unwrap();
    let listener = Listener::bind_with("127.0.0.1:0", &config).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 64 * 1024];
        for _ in 0..=TIMES {
            let mut left = PART;
            while left > 0 {
                let most = left.min(buffer.len());
                left -= stream.read(&mut buffer[..most]).unwrap();
            }
            stream.write_all(b"!").unwrap();
        }
        io::copy(&mut stream, &mut io::sink()).unwrap();
    });
    let mut stream = Stream::connect_with(address, &config).unwrap();
    let block = vec![7; 64 * 1024];
    let mut send = || {
        (0..PART / block.len()).for_each(|_| stream.write_all(&block).unwrap());
        stream.read_exact(&mut [0]).unwrap();
    };
    send();
    // Whatever else the machine does makes for longer queues, never for shorter ones.
    let counts = (0..TIMES).map(|_| allocations(&mut send));
    let count = counts.min().unwrap();
    // Less than one for a thousand datagrams.
    let datagrams = PART / 1300;
    assert!(
        count * 1000 < datagrams,
        "{count} for {datagrams} datagrams"
    );
    stream.close().unwrap();
    server.join().unwrap();
}

/// Sessions of both sides that have exchanged a byte and do nothing more. What is counted was asked
/// for by everything that they need: connections, pipes, handles, and their places in tables.
fn idle_sessions() {
    const PAIRS: usize = 1700;
    const MOST: usize = 1856;
    let server = Endpoint::builder().bind("127.0.0.1:0").unwrap();
    let client = Endpoint::builder().bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let listener = server.listen().unwrap();
    let open = || {
        let mut ours = client.connect(address).unwrap();
        ours.write_all(b"?").unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        theirs.read_exact(&mut [0]).unwrap();
        theirs.write_all(b"!").unwrap();
        ours.read_exact(&mut [0]).unwrap();
        [ours, theirs]
    };
    // What the endpoints' threads need, they have from then on.
    let _first = open();
    let before = held();
    let mut streams = Vec::with_capacity(2 * PAIRS);
    (0..PAIRS).for_each(|_| streams.extend(open()));
    let each = || (held() - before) / streams.len();
    let deadline = Instant::now() + Duration::from_secs(20);
    while each() > MOST && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let each = each();
    println!("an idle session takes {each} bytes");
    assert!(each <= MOST, "{each} bytes");
    client.shutdown(Duration::ZERO).unwrap();
    server.shutdown(Duration::ZERO).unwrap();
}

/// A peer's segment of one byte.
fn small(number: u32) -> Segment<'static> {
    Segment::Data(Data {
        conversation: 7,
        options: Options::NONE,
        timestamp: Timestamp::new(number),
        number: SeqNum::new(number),
        sending_next: SeqNum::ZERO,
        payload: b"x",
    })
}

/// A peer leaves a gap, and repeats what lies behind it: each repetition is to be acknowledged, again
/// and again. All that is kept for that counts, and it is little while memory is scarce.
fn what_a_hostile_peer_has_kept_is_counted() {
    const SCARCE: usize = 4096;
    let mut flood = Vec::new();
    (1..=70).for_each(|number| small(number).encode(&mut flood));
    let mut answer = Vec::with_capacity(2048);
    for allowance in [usize::MAX, SCARCE] {
        let (mut now, config) = (Instant::now(), Arc::default());
        let mut connection = Connection::new(Side::Client, 7, config, 1350, 1 << 40, now);
        let before = held();
        for _ in 0..2000 {
            now += Duration::from_millis(1);
            connection.set_allowance(allowance);
            connection.handle_datagram(now, &flood);
            while connection.poll_transmit(now, &mut answer).is_some() {
                answer.clear();
            }
        }
        let kept = held() - before;
        connection.set_allowance(allowance);
        let counted = connection.memory() + connection.bookkeeping();
        assert!(
            kept <= 2 * counted + 8192,
            "{kept} bytes, {counted} counted"
        );
        assert!(counted <= allowance, "{counted} bytes");
    }
}

/// A peer acknowledges nothing, and repeats what has something repeated to it.
fn what_is_sent_again_and_again_is_not_remembered_each_time() {
    let (mut now, config) = (Instant::now(), Arc::default());
    let mut connection = Connection::new(Side::Client, 7, config, 1350, 1 << 40, now);
    let (mut question, mut answer) = (Vec::new(), Vec::with_capacity(2048));
    small(0).encode(&mut question);
    connection.handle_datagram(now, &question);
    connection.write(b"never acknowledged");
    let (before, mut sent) = (held(), 0);
    for _ in 0..50_000 {
        now += Duration::from_millis(100);
        connection.handle_datagram(now, &question);
        connection.handle_timeout(now);
        while connection.poll_transmit(now, &mut answer).is_some() {
            sent += 1;
            answer.clear();
        }
    }
    assert!(sent >= 10_000, "{sent} datagrams");
    let kept = held() - before;
    assert!(kept <= 8192, "{kept} bytes");
}

/// A peer acknowledges all but the last of many small segments, and fills all but the end of a wide
/// gap.
fn what_is_left_of_much_takes_little() {
    const SEGMENTS: u32 = 10_000;
    const GAP: u32 = 600;
    let acknowledge = |next: u32| {
        let mut bytes = Vec::new();
        let segment = Segment::Ack(Ack {
            conversation: 7,
            options: Options::NONE,
            receiving_window: SeqNum::new(2 * SEGMENTS),
            receiving_next: SeqNum::new(next),
            timestamp: Timestamp::ZERO,
            numbers: Numbers::EMPTY,
        });
        segment.encode(&mut bytes);
        bytes
    };
    let (mut now, config) = (Instant::now(), Arc::default());
    let mut datagram = Vec::with_capacity(2048);
    let before = held();
    let mut connection = Connection::new(Side::Client, 7, config, 1350, 1 << 40, now);
    connection.set_nodelay(true);
    connection.handle_datagram(now, &acknowledge(0));
    for _ in 0..SEGMENTS {
        now += Duration::from_millis(1);
        connection.write(b"x");
        while connection.poll_transmit(now, &mut datagram).is_some() {
            datagram.clear();
        }
    }
    assert!(connection.bookkeeping() >= 64 * SEGMENTS as usize);
    connection.handle_datagram(now, &acknowledge(SEGMENTS - 1));
    for number in std::iter::once(GAP).chain(0..GAP - 1) {
        datagram.clear();
        small(number).encode(&mut datagram);
        connection.handle_datagram(now, &datagram);
    }
    connection.consume(GAP as usize - 1);
    connection.release_memory();
    assert_eq!(connection.memory(), 2);
    let kept = held() - before;
    assert!(kept <= 16 * 1024, "{kept} bytes");
}

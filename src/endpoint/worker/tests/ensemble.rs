//! Sessions that send to the same peer at the same time.

use super::*;
use crate::{
    connection::Members,
    wire::{Ack, Numbers},
};

const STEP: Duration = Duration::from_micros(100);
/// What the path carries in a step: some 26 MB in a second.
const CARRIED: usize = 2;
const SECOND: u32 = 10_000;
/// What is written at once; a session that is not proven takes twice as much.
const WRITTEN: usize = 30_000;

/// A short path with a long queue, behind which a peer acknowledges everything.
struct Path {
    lab: Lab,
    handles: Vec<Arc<SessionHandle>>,
    queue: VecDeque<(u16, SeqNum, Timestamp)>,
    /// Segments that have arrived, of each session.
    arrived: Vec<u32>,
}

impl Path {
    fn new() -> Self {
        Self {
            lab: Lab::new(),
            handles: Vec::new(),
            queue: VecDeque::new(),
            arrived: Vec::new(),
        }
    }

    fn open(&mut self) {
        self.handles.push(self.lab.open());
        self.arrived.push(0);
    }

    fn pass(&mut self, steps: u32) {
        for _ in 0..steps {
            for handle in &self.handles {
                if handle.send_pipe().len() < WRITTEN {
                    write(handle, WRITTEN);
                }
            }
            self.lab.pass(STEP);
            self.take_sent();
            self.deliver();
        }
    }

    fn take_sent(&mut self) {
        for plaintext in self.lab.sent_plaintexts() {
            let data = Segments::new(&plaintext).filter_map(|segment| match segment {
                Segment::Data(data) => Some((data.conversation, data.number, data.timestamp)),
                _ => None,
            });
            self.queue.extend(data);
        }
    }

    fn deliver(&mut self) {
        for _ in 0..CARRIED {
            let Some((conversation, number, timestamp)) = self.queue.pop_front() else {
                return;
            };
            let of = |handle: &Arc<SessionHandle>| handle.conversation() == conversation;
            let Some(session) = self.handles.iter().position(of) else {
                continue;
            };
            self.arrived[session] += 1;
            let (mut plaintext, numbers) = (Vec::new(), [number]);
            let ack = Segment::Ack(Ack {
                conversation,
                options: Options::NONE,
                receiving_window: SeqNum::new(number.get() + 10_000),
                receiving_next: number,
                timestamp,
                numbers: Numbers::List(&numbers),
            });
            ack.encode(&mut plaintext);
            self.lab.post(address(2), conversation, &plaintext);
        }
    }
}

/// One that is gone is compared with nobody, and its part falls to those who stay.
#[test]
fn what_one_leaves_the_others_take() {
    let mut path = Path::new();
    (0..3).for_each(|_| path.open());
    path.pass(SECOND / 4);
    let gone = path.handles.remove(0);
    path.arrived.remove(0);
    gone.reset();
    gone.release();
    path.pass(SECOND / 4);
    let before: u32 = path.arrived.iter().sum();
    path.pass(SECOND / 4);
    let more = path.arrived.iter().sum::<u32>() - before;
    assert!(more > SECOND / 4 * CARRIED as u32 * 9 / 10, "{more}");
}

/// Whoever finds a queue takes it for a part of the path, if nobody tells that it is not.
#[test]
fn a_late_comer_does_not_starve_the_others() {
    let mut path = Path::new();
    (0..3).for_each(|_| path.open());
    path.pass(SECOND / 4);
    path.open();
    path.pass(SECOND / 4);
    let before = path.arrived.clone();
    path.pass(SECOND / 2);
    let shares: Vec<u32> = path
        .arrived
        .iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect();
    let mean = shares.iter().sum::<u32>() / 4;
    assert!(shares.iter().all(|&share| share > mean / 2), "{shares:?}");
    assert!(
        4 * mean > SECOND / 2 * CARRIED as u32 * 9 / 10,
        "{shares:?}"
    );
}

#[test]
fn those_with_the_same_peer_address_share_their_path() {
    let mut lab = Lab::new();
    let _queue = lab.port.start_listening().unwrap();
    let mut plaintext = Vec::new();
    for (remote, conversation) in [(2, 7), (2, 8), (3, 7)] {
        plaintext.clear();
        data(conversation, 0).encode(&mut plaintext);
        lab.post(address(remote), conversation, &plaintext);
    }
    lab.settle();
    let slots: Vec<_> = lab.worker.table.iter().map(|(slot, _)| slot).collect();
    let mut path = |of: usize| Members::find(&mut lab.worker.table, slots[of]).unwrap().0;
    assert_eq!(path(0), path(1));
    assert_ne!(path(0), path(2));
}

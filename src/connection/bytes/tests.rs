use proptest::prelude::*;

use super::*;

fn bytes(queue: &ByteQueue) -> Vec<u8> {
    let mut all = vec![0; queue.len()];
    let copied = queue.copy_to(&mut [IoSliceMut::new(&mut all)], usize::MAX);
    assert_eq!(copied, queue.len());
    all
}

#[test]
fn a_full_chunk_is_moved_and_an_empty_one_comes_back() {
    let (mut from, mut to) = (ByteQueue::default(), ByteQueue::default());
    from.extend(&[7; CHUNK]);
    let place = from.front().as_ptr();
    assert_eq!(to.append_from(&mut from, 1, usize::MAX), CHUNK);
    assert_eq!(to.front().as_ptr(), place);
    to.consume(CHUNK);
    from.extend(&[8; CHUNK]);
    to.append_from(&mut from, 1, usize::MAX);
    from.extend(&[9; 1]);
    assert_eq!(from.front().as_ptr(), place);
}

#[test]
fn few_bytes_are_copied() {
    let (mut from, mut to) = (ByteQueue::default(), ByteQueue::default());
    for _ in 0..100 {
        from.extend(&[1; 10]);
        assert_eq!(to.append_from(&mut from, usize::MAX, usize::MAX), 10);
    }
    assert!(to.capacity() <= 1024 && from.capacity() <= SMALLEST);
}

proptest! {
    /// Two queues, of which one is emptied into the other, behave as queues of bytes; memory is
    /// at most twice what they hold and what they keep, or have held, and nothing after release.
    #[test]
    fn queues_keep_every_byte_in_order(
        steps in prop::collection::vec((0..4u8, 0..200_000usize), 1..40),
    ) {
        let (mut first, mut second) = (ByteQueue::default(), ByteQueue::default());
        let (mut model, mut model2) = (VecDeque::new(), VecDeque::new());
        let (mut next, mut most) = (0u8, 0);
        for (step, size) in steps {
            match step {
                0 | 1 => {
                    let mut draw = || {
                        next = next.wrapping_mul(5).wrapping_add(1);
                        next
                    };
                    let data: Vec<u8> = (0..size / 4).map(|_| draw()).collect();
                    first.extend(&data);
                    model.extend(data);
                }
                2 => {
                    let count = second.append_from(&mut first, size / 2, size);
                    prop_assert!(count <= size && count >= (size / 2).min(model.len()));
                    model2.extend(model.drain(..count));
                }
                _ => {
                    second.consume(size);
                    model2.drain(..size.min(model2.len()));
                }
            }
            prop_assert_eq!(bytes(&first), Vec::from(model.clone()));
            prop_assert_eq!(bytes(&second), Vec::from(model2.clone()));
            let (from, to) = (model2.len() / 3, model2.len() / 2);
            let some: Vec<u8> = model2.range(from..to).copied().collect();
            prop_assert_eq!(second.get(from..to), &some);
            let mut halves = (vec![0; from / 3], vec![0; to - from / 3]);
            let mut buffers = [IoSliceMut::new(&mut halves.0), IoSliceMut::new(&mut halves.1)];
            prop_assert_eq!(second.copy_to(&mut buffers, from), from);
            let both: Vec<u8> = halves.0.into_iter().chain(halves.1).take(from).collect();
            prop_assert!(both.iter().eq(model2.range(..from)));
            most = first.len().max(second.len()).max(most);
            let kept = (SPARES + 2) * CHUNK + 2 * most;
            for queue in [&first, &second] {
                prop_assert!(queue.capacity() <= 2 * queue.len() + kept);
            }
        }
        first.release_memory();
        first.consume(usize::MAX);
        prop_assert_eq!(first.capacity(), 0);
    }
}

/// A reader that is late lets many chunks wait; they are kept for the next time, and given back when
/// there has been none for long.
#[test]
fn as_many_chunks_are_kept_as_were_needed_lately() {
    const MANY: usize = 3 * SPARES;
    let chunk = [7; CHUNK];
    let mut queue = ByteQueue::default();
    let mut pass = |chunks: usize| {
        (0..chunks).for_each(|_| queue.extend(&chunk));
        let places: Vec<_> = queue.slices().map(<[u8]>::as_ptr).collect();
        queue.consume(usize::MAX);
        (places, queue.capacity())
    };
    let (places, kept) = pass(MANY);
    assert_eq!(kept, MANY * CHUNK);
    for _ in 0..3 {
        let (again, kept) = pass(MANY);
        assert!(again.iter().all(|place| places.contains(place)));
        assert_eq!(kept, MANY * CHUNK);
    }
    let while_it_lasts = LATELY as usize / CHUNK - 5 * MANY;
    (0..while_it_lasts / 2).for_each(|_| drop(pass(2)));
    assert_eq!(pass(2).1, MANY * CHUNK);
    (0..LATELY as usize / CHUNK).for_each(|_| drop(pass(2)));
    assert!(pass(2).1 <= (SPARES + 2) * CHUNK);
}

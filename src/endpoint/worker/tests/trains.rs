//! Datagrams that leave together.

use super::*;

#[test]
fn equal_datagrams_leave_as_trains() {
    let mut lab = Lab::new();
    let handle = lab.open();
    handle.set_nodelay(true);
    write(&handle, 5 * 1326 + 10);
    lab.settle();
    // Five full ones in trains of at most four; the short one closes the second.
    assert_eq!(lab.sent(), [4, 2]);
    assert_eq!(lab.port.counters.datagrams_sent.get(), 6);
    assert_eq!(lab.port.counters.send_calls.get(), 2);
}

#[test]
fn sessions_with_the_same_peer_address_share_trains() {
    let mut lab = Lab::new();
    let handles = [(); 5].map(|()| lab.open());
    for (handle, size) in handles.iter().zip([100, 100, 100, 50, 100]) {
        handle.set_nodelay(true);
        write(handle, size);
    }
    lab.settle();
    // A shorter one ends a train.
    assert_eq!(lab.sent(), [4, 1]);
    assert_eq!(lab.port.counters.datagrams_sent.get(), 5);
}

/// Whoever closes hears that all has been sent, and may end the process.
#[test]
fn what_a_closing_session_sends_waits_for_no_other() {
    let mut lab = Lab::new();
    let [closing, other] = [(); 2].map(|()| lab.open());
    for handle in [&closing, &other] {
        write(handle, 100);
    }
    closing.release();
    lab.settle();
    assert_eq!(lab.sent(), [1, 1]);
}

#[test]
fn a_refused_train_is_sent_again_singly_at_once() {
    // EIO and EINVAL as Linux numbers them, and anything else.
    for error in [
        io::Error::from_raw_os_error(5),
        io::Error::from_raw_os_error(22),
        io::Error::other("no segmentation here"),
    ] {
        let mut lab = Lab::new();
        let handle = lab.open();
        write(&handle, 4 * 1326);
        lab.fail_next(error);
        lab.settle();
        assert_eq!(lab.sent_numbers(), [0, 1, 2, 3]);
        assert_eq!(lab.port.counters.send_errors.get(), 0);
    }
}

#[test]
fn a_kernel_that_gets_full_in_a_refused_train_holds_the_rest_back() {
    let mut lab = Lab::new();
    let handle = lab.open();
    write(&handle, 6 * 1326);
    lab.fail_next(io::Error::from_raw_os_error(5));
    lab.fail_next(io::ErrorKind::WouldBlock.into());
    lab.settle();
    assert_eq!(lab.sent(), [0; 0]);
    lab.shard
        .command(Command::Writable(lab.port.id, 0))
        .unwrap();
    lab.settle();
    assert_eq!(lab.sent_numbers(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(lab.port.counters.send_errors.get(), 0);
}

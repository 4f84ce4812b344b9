//! A server's own words, sent back to it.

use super::*;

#[test]
fn what_a_server_said_is_not_taken_for_its_client_and_opens_no_session() {
    let mut lab = Lab::new();
    let queue = lab.port.start_listening().unwrap();
    lab.receive(7, data(7, 0));
    let handle = queue.accept().unwrap();
    write(&handle, 3000);
    lab.settle();
    let said = lab.sent_plaintexts();
    assert!(said.len() >= 2, "{} datagrams", said.len());
    let drops = |lab: &Lab, reason| lab.port.counters.snapshot().drops.get(reason);

    for plaintext in &said {
        lab.post(address(2), 7, plaintext);
    }
    lab.settle();
    assert_eq!(drops(&lab, DropReason::Reflected), said.len() as u64);
    assert_eq!(handle.stats().receive_queue, 5, "only what the client said");

    for plaintext in &said {
        lab.post(address(3), 7, plaintext);
    }
    lab.settle();
    assert_eq!(drops(&lab, DropReason::Stray), said.len() as u64);
    assert_eq!((lab.port.sessions(), queue.len()), (1, 0));
}

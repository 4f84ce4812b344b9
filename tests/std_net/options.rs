//! Settings and addresses.

use std::{io::ErrorKind, time::Duration};

use crate::{
    support::{SHORT, kind},
    transport::{Listener, Stream, Transport},
};

pub fn timeouts_are_kept_and_zero_is_refused<T: Transport>() {
    let (client, _server) = T::pair();
    assert_eq!(client.read_timeout().unwrap(), None);
    assert_eq!(client.write_timeout().unwrap(), None);
    client
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    client
        .set_write_timeout(Some(Duration::from_secs(4)))
        .unwrap();

    let zero = Some(Duration::ZERO);
    assert_eq!(kind(client.set_read_timeout(zero)), ErrorKind::InvalidInput);
    assert_eq!(
        kind(client.set_write_timeout(zero)),
        ErrorKind::InvalidInput
    );
    assert_eq!(client.read_timeout().unwrap(), Some(Duration::from_secs(3)));
    assert_eq!(
        client.write_timeout().unwrap(),
        Some(Duration::from_secs(4))
    );

    client.set_read_timeout(None).unwrap();
    assert_eq!(client.read_timeout().unwrap(), None);
}

pub fn nodelay_is_off_until_set<T: Transport>() {
    let (client, _server) = T::pair();
    assert!(!client.nodelay().unwrap());
    client.set_nodelay(true).unwrap();
    assert!(client.nodelay().unwrap());
    client.set_nodelay(false).unwrap();
    assert!(!client.nodelay().unwrap());
}

pub fn linger_is_unset_until_set<T: Transport>() {
    let (client, _server) = T::pair();
    assert_eq!(client.linger().unwrap(), None);
    client.set_linger(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(3)));
    client.set_linger(None).unwrap();
    assert_eq!(client.linger().unwrap(), None);
}

pub fn clones_share_options<T: Transport>() {
    let (client, _server) = T::pair();
    let clone = client.try_clone().unwrap();
    clone.set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(client.read_timeout().unwrap(), Some(SHORT));
    assert_eq!(kind(client.read_shared(&mut [0])), T::MANNERS.deadline);
    clone.set_nonblocking(true).unwrap();
    assert_eq!(kind(client.read_shared(&mut [0])), ErrorKind::WouldBlock);
    clone.set_nodelay(true).unwrap();
    assert!(client.nodelay().unwrap());
}

pub fn addresses_mirror_each_other<T: Transport>() {
    let listener = T::bind().unwrap();
    let address = listener.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    let client = T::connect(address).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(client.peer_addr().unwrap(), address);
    assert_eq!(client.local_addr().unwrap(), peer);
    assert_eq!(server.peer_addr().unwrap(), peer);
    assert_eq!(server.local_addr().unwrap(), address);
    let shown = format!("{client:?}");
    assert!(shown.contains(&address.to_string()), "{shown}");
}

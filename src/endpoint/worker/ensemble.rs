//! Sessions that share their path.

use std::net::{IpAddr, SocketAddr};

use crate::{
    connection::{Connection, Members},
    endpoint::{
        session::Session,
        table::{Slot, Table, Tenant},
    },
};

impl Members for Table<Session> {
    type Name = Slot;
    /// From one of our addresses to a peer's: by which of our sockets does not matter.
    type Path = (IpAddr, SocketAddr);

    fn find(&mut self, slot: Slot) -> Option<(Self::Path, &mut Connection)> {
        let session = self.get_mut(slot)?;
        let ends = session
            .way
            .addresses(session.port().local, session.id().remote());
        Some(((ends.local.ip(), ends.peer), &mut session.connection))
    }
}

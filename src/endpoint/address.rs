//! The forms in which addresses come, and the one in which they are kept.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

/// An address in two thirds of the memory: there are several of each session. IPv4 is inside IPv6,
/// and there is no flow label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CompactAddr {
    ip: Ipv6Addr,
    port: u16,
    /// In bytes, for otherwise it would have to lie at a multiple of four.
    scope: [u8; 4],
}

impl From<SocketAddr> for CompactAddr {
    fn from(address: SocketAddr) -> Self {
        let (ip, scope) = match canonical(address) {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        Self {
            ip,
            port: address.port(),
            scope: scope.to_ne_bytes(),
        }
    }
}

impl From<CompactAddr> for SocketAddr {
    fn from(address: CompactAddr) -> Self {
        let scope = u32::from_ne_bytes(address.scope);
        canonical(SocketAddrV6::new(address.ip, address.port, 0, scope).into())
    }
}

impl CompactAddr {
    pub(super) const LEN: usize = 22;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.ip.octets());
        bytes[16..18].copy_from_slice(&self.port.to_ne_bytes());
        bytes[18..].copy_from_slice(&self.scope);
        bytes
    }
}

impl fmt::Debug for CompactAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

/// One form for each address: IPv4 as IPv4 although a dual-stack socket shows it inside IPv6, and
/// no flow label.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(v6) = address else {
        return address;
    };
    match v6.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, v6.port())),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into(),
    }
}

/// The form in which a socket that is bound to `local` names an address.
pub(super) fn native(local: SocketAddr, remote: SocketAddr) -> SocketAddr {
    match (local, remote) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
        }
        _ => remote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_those_inside() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:5".parse().unwrap();
        assert_eq!(canonical(mapped), "192.0.2.1:5".parse().unwrap());
        let flow = SocketAddrV6::new("2001:db8::1".parse().unwrap(), 5, 77, 3);
        let plain = SocketAddrV6::new("2001:db8::1".parse().unwrap(), 5, 0, 3);
        assert_eq!(canonical(flow.into()), plain.into());
    }

    #[test]
    fn what_is_kept_is_the_address() {
        for text in ["192.0.2.1:5", "[2001:db8::1]:65535", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(CompactAddr::from(address)), address);
        }
        for (one, same) in [
            ("[::ffff:192.0.2.1]:5", "192.0.2.1:5"),
            ("[2001:db8::1]:5", "[2001:db8::1]:5"),
        ] {
            let [one, same] = [one, same].map(|text| text.parse::<SocketAddr>().unwrap());
            let one = match one {
                SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 77, 0).into(),
                v4 => v4,
            };
            assert_eq!(CompactAddr::from(one), CompactAddr::from(same));
        }
    }
}

//! What follows from the settings: sizes on the wire, and windows as the Go peers compute them.

use std::time::Duration;

use super::{Config, Header, Security};

/// Bytes of a Data segment in front of its payload.
const DATA_OVERHEAD: usize = 18;
/// An ACK segment that lists one number, the longest segment that cannot be made shorter.
const LEAST_ACK: usize = 21;
/// Upstream never sends fewer segments per interval, whatever the capacity.
const LEAST_SEGMENTS: u64 = 8;

/// Bytes that a packet header puts in front of a datagram.
pub fn header_len(header: &Header) -> usize {
    match header {
        Header::None => 0,
        Header::Srtp | Header::Utp | Header::Wireguard => 4,
        Header::WechatVideo | Header::Dtls => 13,
        Header::Dns(domain) => 16 + encode_dns_name(domain).map_or(0, |name| name.len()),
    }
}

/// Bytes that sealing adds: nonce and tag.
pub fn security_len(security: &Security) -> usize {
    match security {
        Security::None => 0,
        Security::Simple => 6,
        Security::Aes128Gcm(_) => 12 + 16,
    }
}

/// The least MTU that holds a segment of every kind.
pub fn least_mtu(header: &Header, security: &Security) -> usize {
    header_len(header) + security_len(security) + LEAST_ACK
}

/// Bytes of segments that fit into one datagram.
pub fn max_plaintext(config: &Config) -> usize {
    let overhead = header_len(config.header()) + security_len(config.security());
    usize::from(config.mtu()) - overhead
}

/// Payload bytes of a full Data segment.
pub fn max_segment_payload(max_plaintext: usize) -> usize {
    max_plaintext - DATA_OVERHEAD
}

/// How many segments of an MTU a capacity carries in one interval, with upstream's truncating
/// divisions but without its 32-bit overflow.
pub fn segments_per_interval(bytes_per_second: u64, mtu: u16, tti: Duration) -> u64 {
    let intervals = (1000 / tti.as_millis().max(1) as u64).max(1);
    (bytes_per_second / u64::from(mtu.max(1)) / intervals).max(LEAST_SEGMENTS)
}

/// Of the read buffer, the pipe between the worker and the reader takes a quarter, at most so much:
/// it has to cover the time until either side is woken, the rest has to cover the path.
const MOST_IN_PIPE: usize = 1024 * 1024;
/// Bytes held for repetition for each that may wait to be sent.
const HELD_FACTOR: usize = 8;

/// Bytes that the pipe to the reader holds.
pub fn receive_pipe_bytes(config: &Config) -> usize {
    (config.read_buffer() / 4).min(MOST_IN_PIPE)
}

/// Bytes that a connection holds ahead of its reader's pipe, at most.
pub fn receive_window_bytes(config: &Config) -> usize {
    config.read_buffer() - receive_pipe_bytes(config)
}

/// Bytes that a peer may send before anything is known of the path: what the downlink brings in
/// one interval, as upstream.
pub fn first_window_bytes(config: &Config) -> usize {
    let segments = segments_per_interval(config.downlink(), config.mtu(), config.tti());
    let interval = usize::try_from(segments * u64::from(config.mtu())).unwrap_or(usize::MAX);
    interval.min(receive_window_bytes(config))
}

/// Bytes that a connection holds until they are acknowledged, at most.
pub fn send_window_bytes(config: &Config) -> usize {
    HELD_FACTOR.saturating_mul(config.write_buffer())
}

/// How many segments of an MTU a buffer holds, as upstream counts them.
pub fn segments_per_buffer(bytes: usize, mtu: u16) -> u64 {
    bytes as u64 / u64::from(mtu.max(1))
}

/// A domain as DNS encodes it, by the rules of Xray's encoder: a dot is added at the end, each
/// dot closes a label, a backslash makes the next byte literal, and empty labels are kept.
/// `None` if a label is longer than 63 bytes.
pub fn encode_dns_name(domain: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(domain.len() + 2);
    let mut label = Vec::new();
    let mut bytes = domain.bytes().chain(Some(b'.'));
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => {
                let length = u8::try_from(label.len())
                    .ok()
                    .filter(|&length| length <= 63)?;
                name.push(length);
                name.append(&mut label);
            }
            b'\\' => label.extend(bytes.next()),
            _ => label.push(byte),
        }
    }
    name.push(0);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_sizes_are_those_of_upstream() {
        let config = Config::default();
        let segments = |capacity| segments_per_interval(capacity, config.mtu(), config.tti());
        assert_eq!(segments(config.uplink()), 194);
        assert_eq!(segments(config.downlink()), 776);
        assert_eq!(
            segments_per_buffer(config.write_buffer(), config.mtu()),
            1553
        );
        assert_eq!(max_segment_payload(max_plaintext(&config)), 1326);
    }

    #[test]
    fn dns_names_keep_the_quirks_of_the_encoder() {
        let encode = |domain| encode_dns_name(domain).unwrap();
        assert_eq!(encode("www.baidu.com"), b"\x03www\x05baidu\x03com\x00");
        assert_eq!(encode("x."), b"\x01x\x00\x00");
        assert_eq!(encode("a..b"), b"\x01a\x00\x01b\x00");
        assert_eq!(encode(""), b"\x00\x00");
        assert_eq!(encode("a\\.b"), b"\x03a.b\x00");
        assert_eq!(encode_dns_name(&"a".repeat(64)), None);
    }
}

//! The disguise in front of a datagram: a few bytes that look like another protocol.
//!
//! Receivers skip them unread, so only their number matters to the other end. The values are those
//! of the protocols imitated, as V2Ray 4 writes them.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{NonceSource, SealError};
use crate::config::{Header, derive::encode_dns_name};

/// Writes packet headers. Its counters run through all datagrams of an endpoint, whichever thread
/// sends them.
#[derive(Debug)]
pub struct HeaderWriter {
    disguise: Disguise,
}

#[derive(Debug)]
enum Disguise {
    None,
    /// The number of the last datagram.
    Srtp(AtomicU16),
    Utp {
        connection: u16,
    },
    /// The number of the last datagram.
    WechatVideo(AtomicU32),
    Dtls {
        epoch: u16,
        next: AtomicU64,
    },
    Wireguard,
    /// A whole query with the transaction id 0.
    Dns(Box<[u8]>),
}

impl HeaderWriter {
    /// A writer whose counters and ids start at random.
    pub fn new(header: &Header) -> Self {
        // Nothing but the disguise hangs on this number, so zero will do if the system has none.
        let random = NonceSource::default().draw().map_or(0, u16::from_be_bytes);
        match header {
            Header::None => Self::none(),
            Header::Srtp => Self::srtp(random),
            Header::Utp => Self::utp(random),
            Header::WechatVideo => Self::wechat_video(random.into()),
            Header::Dtls => Self::dtls(random, 0, FIRST_DTLS_LENGTH),
            Header::Wireguard => Self::wireguard(),
            Header::Dns(domain) => Self::dns(domain),
        }
    }

    pub fn none() -> Self {
        Disguise::None.into()
    }

    /// The first header carries the number after `last`.
    pub fn srtp(last: u16) -> Self {
        Disguise::Srtp(last.into()).into()
    }

    pub fn utp(connection: u16) -> Self {
        Disguise::Utp { connection }.into()
    }

    /// The first header carries the number after `last`.
    pub fn wechat_video(last: u32) -> Self {
        Disguise::WechatVideo(last.into()).into()
    }

    /// The first header carries this sequence number and this feigned length.
    pub fn dtls(epoch: u16, sequence: u32, length: u16) -> Self {
        let next = DtlsRecord { sequence, length }.to_bits().into();
        Disguise::Dtls { epoch, next }.into()
    }

    pub fn wireguard() -> Self {
        Disguise::Wireguard.into()
    }

    pub fn dns(domain: &str) -> Self {
        // Transaction id, flags "recursion desired", one question and three empty sections.
        let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        // A configuration has only names that can be encoded.
        query.extend(encode_dns_name(domain).unwrap_or_default());
        // Type A, class IN.
        query.extend([0, 1, 0, 1]);
        Disguise::Dns(query.into()).into()
    }

    /// Writes the next header into `out`, which has its length.
    pub fn write(&self, out: &mut [u8], random: &mut NonceSource) -> Result<(), SealError> {
        match &self.disguise {
            Disguise::None => {}
            Disguise::Srtp(last) => {
                let [a, b] = last.fetch_add(1, Relaxed).wrapping_add(1).to_be_bytes();
                put(out, &[0xb5, 0xe8, a, b]);
            }
            Disguise::Utp { connection } => {
                let [a, b] = connection.to_be_bytes();
                put(out, &[a, b, 0x01, 0x00]);
            }
            Disguise::WechatVideo(last) => {
                let [a, b, c, d] = last.fetch_add(1, Relaxed).wrapping_add(1).to_be_bytes();
                put(
                    out,
                    &[
                        0xa1, 0x08, a, b, c, d, 0, 0x10, 0x11, 0x18, 0x30, 0x22, 0x30,
                    ],
                );
            }
            Disguise::Dtls { epoch, next } => {
                let [a, b] = epoch.to_be_bytes();
                let record = DtlsRecord::take(next);
                let [c, d, e, f] = record.sequence.to_be_bytes();
                let [g, h] = record.length.to_be_bytes();
                put(out, &[0x17, 0xfe, 0xfd, a, b, 0, 0, c, d, e, f, g, h]);
            }
            Disguise::Wireguard => put(out, &[0x04, 0, 0, 0]),
            Disguise::Dns(query) => {
                put(out, query);
                put(out, &random.draw::<2>()?);
            }
        }
        Ok(())
    }
}

impl From<Disguise> for HeaderWriter {
    fn from(disguise: Disguise) -> Self {
        Self { disguise }
    }
}

const FIRST_DTLS_LENGTH: u16 = 17;

/// What changes from one feigned DTLS record to the next. Both fields live in one atomic, so that
/// threads that send at the same time cannot tear them apart.
#[derive(Clone, Copy)]
struct DtlsRecord {
    sequence: u32,
    length: u16,
}

impl DtlsRecord {
    /// Takes the next record from the state of a writer.
    fn take(state: &AtomicU64) -> Self {
        let advance = |bits| Some(Self::from_bits(bits).next().to_bits());
        let bits = state.fetch_update(Relaxed, Relaxed, advance);
        Self::from_bits(bits.unwrap_or_else(|bits| bits))
    }

    fn next(self) -> Self {
        // mKCP: 17, 34, 51, 68, 85, 52, 69, .. whatever the datagrams' real lengths are.
        let length = self.length.wrapping_add(17);
        Self {
            sequence: self.sequence.wrapping_add(1),
            length: if length > 100 {
                length.wrapping_sub(50)
            } else {
                length
            },
        }
    }

    fn to_bits(self) -> u64 {
        let [a, b, c, d] = self.sequence.to_be_bytes();
        let [e, f] = self.length.to_be_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    fn from_bits(bits: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        Self {
            sequence: u32::from_be_bytes([a, b, c, d]),
            length: u16::from_be_bytes([e, f]),
        }
    }
}

/// Copies as much as fits.
fn put(out: &mut [u8], bytes: &[u8]) {
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::derive::header_len;

    /// The next `N` bytes of a writer.
    fn next<const N: usize>(writer: &HeaderWriter) -> [u8; N] {
        let mut out = [0xee; N];
        writer.write(&mut out, &mut NonceSource::default()).unwrap();
        out
    }

    #[test]
    fn counters_wrap() {
        let srtp = HeaderWriter::srtp(u16::MAX - 1);
        assert_eq!(next(&srtp), [0xb5, 0xe8, 0xff, 0xff]);
        assert_eq!(next(&srtp), [0xb5, 0xe8, 0x00, 0x00]);
        let dtls = HeaderWriter::dtls(7, u32::MAX, 17);
        let [.., a, b, c, d, _, _] = next::<13>(&dtls);
        assert_eq!([a, b, c, d], [0xff; 4]);
        let [.., a, b, c, d, _, _] = next::<13>(&dtls);
        assert_eq!([a, b, c, d], [0; 4]);
    }

    #[test]
    fn feigned_dtls_lengths_go_on_as_upstream() {
        let dtls = HeaderWriter::dtls(0, 0, FIRST_DTLS_LENGTH);
        let lengths: Vec<u8> = (0..15).map(|_| next::<13>(&dtls)[12]).collect();
        let expected = [17, 34, 51, 68, 85, 52, 69, 86, 53, 70, 87, 54, 71, 88, 55];
        assert_eq!(lengths, expected);
    }

    #[test]
    fn a_dns_query_has_a_new_id_each_time() {
        let dns = HeaderWriter::dns(Header::DEFAULT_DNS_DOMAIN);
        let mut out = [0; 31];
        let mut ids = NonceSource::starting_with(vec![1, 2, 3, 4]);
        dns.write(&mut out, &mut ids).unwrap();
        let rest = b"\x01\0\0\x01\0\0\0\0\0\0\x03www\x05baidu\x03com\0\0\x01\0\x01";
        assert_eq!((&out[..2], &out[2..]), (&[1, 2][..], &rest[..]));
        dns.write(&mut out, &mut ids).unwrap();
        assert_eq!((&out[..2], &out[2..]), (&[3, 4][..], &rest[..]));
    }

    #[test]
    fn headers_fill_exactly_the_length_that_is_reserved() {
        for name in [
            "none",
            "srtp",
            "utp",
            "wechat",
            "dtls",
            "wireguard",
            "dns",
            "dns:x.",
        ] {
            let header: Header = name.parse().unwrap();
            let length = header_len(&header);
            let writer = HeaderWriter::new(&header);
            let write = |fill: u8| {
                let mut out = vec![fill; length + 1];
                writer
                    .write(&mut out, &mut NonceSource::starting_with(vec![9; 2]))
                    .unwrap();
                out
            };
            // A byte that no header writes keeps its filling: only the one after the header.
            let (a, b) = (write(0xaa), write(0x55));
            let kept: Vec<usize> = (0..=length)
                .filter(|&i| a[i] == 0xaa && b[i] == 0x55)
                .collect();
            assert_eq!(kept, [length], "{name}");
        }
    }

    #[test]
    fn a_random_start_of_wechat_video_has_an_empty_upper_half() {
        for _ in 0..20 {
            let number = next::<13>(&HeaderWriter::new(&Header::WechatVideo));
            // One more than a u16 at most.
            assert!(number[3] <= 1 && number[2] == 0, "{number:?}");
        }
    }
}

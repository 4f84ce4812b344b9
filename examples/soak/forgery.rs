//! The attack that simple security cannot stop: another payload, and a checksum that fits.

use std::ops::Range;

use mkcp::{
    Header,
    internal::{
        config::derive,
        packet::simple,
        wire::{Segment, Segments},
    },
};
use rand::{Rng, rngs::SmallRng};

/// Forges datagrams with simple security.
#[derive(Debug)]
pub(crate) struct Forger {
    header_len: usize,
}

impl Forger {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            header_len: derive::header_len(header),
        }
    }

    /// Changes a byte of the stream if the datagram carries any, and seals it again. The numbers
    /// around it stay, so that nothing but TLS can find out.
    pub(crate) fn forge(&self, datagram: &mut [u8], rng: &mut SmallRng) -> bool {
        let Some(body) = datagram.get_mut(self.header_len..) else {
            return false;
        };
        if body.len() <= simple::OVERHEAD || simple::open(body).is_none() {
            return false; // Never: nobody has altered it before.
        }
        let payload = payload(&body[simple::OVERHEAD..]);
        if let Some(payload) = payload.clone() {
            let place = simple::OVERHEAD + rng.random_range(payload);
            body[place] ^= rng.random_range(1..=u8::MAX);
        }
        simple::seal(body).is_ok() && payload.is_some()
    }
}

/// Where the payload of the first Data segment stands.
fn payload(plaintext: &[u8]) -> Option<Range<usize>> {
    let mut segments = Segments::new(plaintext);
    while let Some(segment) = segments.next() {
        if let Segment::Data(data) = segment
            && !data.payload.is_empty()
        {
            let end = plaintext.len() - segments.rest().len();
            return Some(end - data.payload.len()..end);
        }
    }
    None
}

//! Disguises: a header that a configuration takes can be said, read and written, and one that
//! feigns a DNS query can be read as one.

use mkcp::{
    Config, Header,
    internal::{config::derive, packet::NonceSource},
};

use super::settings::Disguise;

pub type Input<'a> = Disguise<'a>;

/// Bytes of a DNS message in front of its question, and of type and class behind its name.
const MESSAGE_HEADER: usize = 12;
const TYPE_A_CLASS_IN: &[u8] = &[0, 1, 0, 1];

pub fn run(disguise: Input<'_>) {
    let header = disguise.header();
    assert_eq!(header.to_string().parse(), Ok(header.clone()));
    if Config::builder().header(header.clone()).build().is_err() {
        return;
    }
    let mut written = vec![0xaa; derive::header_len(&header)];
    let mut random = NonceSource::starting_with(vec![0x55; 2]);
    let writer = disguise.writer();
    writer
        .write(&mut written, &mut random)
        .expect("random bytes are there");
    if let Header::Dns(domain) = &header {
        assert_eq!(written[..2], [0x55; 2], "the id is not the one drawn");
        assert_query(&written[MESSAGE_HEADER..], domain);
    }
}

/// The question for a domain, read by RFC 1035, section 4.1.2. Empty labels within a name are read
/// on, because the encoder keeps them.
fn assert_query(question: &[u8], domain: &str) {
    let (name, rest) = question.split_at(question.len() - TYPE_A_CLASS_IN.len());
    assert_eq!(rest, TYPE_A_CLASS_IN);
    let (end, mut labels) = name.split_last().expect("a name ends with a zero");
    assert_eq!(*end, 0);
    let mut spoken = Vec::new();
    while let Some((&length, rest)) = labels.split_first() {
        assert!(length < 64, "a label that would be a pointer");
        let (label, rest) = rest.split_at(length.into());
        spoken.extend(label);
        spoken.push(b'.');
        labels = rest;
    }
    // Only a backslash is not said, and the dot at the end is added.
    if !domain.contains('\\') {
        assert_eq!(spoken, [domain.as_bytes(), b"."].concat());
    }
}

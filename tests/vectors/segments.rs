//! Segments in a datagram's plaintext.

use mkcp::internal::wire::Segments;

use super::{Expected, assert_reads, bytes, each, list, load};

#[test]
fn segments_are_written_byte_for_byte() {
    for case in each(&load("segments.json"), "serialize") {
        let expected = Expected::new(&case["segment"]);
        let mut written = Vec::new();
        expected.segment().encode(&mut written);
        assert_eq!(written, bytes(case, "hex"), "{case}");
        assert_eq!(written.len(), expected.segment().encoded_len(), "{case}");
    }
}

#[test]
fn a_segment_is_read_or_refused_and_leaves_the_same_rest() {
    for case in each(&load("segments.json"), "read_segment") {
        if case["advisory"] == true {
            continue;
        }
        let input = bytes(case, "input");
        let mut segments = Segments::new(&input);
        let read = segments.next();
        if case["segment"].is_null() {
            assert_eq!(read, None, "{case}");
        } else {
            assert_eq!(
                read,
                Some(Expected::new(&case["segment"]).segment()),
                "{case}"
            );
            assert_eq!(segments.rest(), bytes(case, "rest"), "{case}");
        }
    }
}

#[test]
fn a_datagram_is_read_up_to_the_first_bad_segment() {
    for case in each(&load("segments.json"), "read_datagram_plain") {
        assert_reads(&bytes(case, "input"), list(case, "segments"), case);
    }
}

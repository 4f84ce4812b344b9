//! What two upstream peers sent to each other.

use mkcp::{
    Config,
    internal::{
        packet::PacketCodec,
        wire::{Segment, Segments},
    },
};
use serde_json::Value;

use super::{Expected, bytes, each, load, number};

#[test]
fn captured_datagrams_open_and_read_as_listed() {
    let codec = PacketCodec::new(&Config::default());
    for event in datagrams(&load("capture.json")) {
        if event.get("datagram").is_none() {
            continue;
        }
        let mut datagram = bytes(event, "datagram");
        assert_eq!(datagram.len(), number::<usize>(event, "size"), "{event}");
        let mut read = Segments::new(codec.open(&mut datagram).unwrap());
        for listed in each(event, "segments") {
            let segment = read.next().unwrap_or_else(|| panic!("too few: {event}"));
            let mut expected = Expected::new(listed);
            if let Segment::Data(data) = segment {
                // The listed segments say how long a payload is, but not what it holds.
                assert_eq!(data.payload.len(), expected.payload.len(), "{event}");
                expected.payload = data.payload.to_vec();
            }
            assert_eq!(segment, expected.segment(), "{event}");
        }
        assert_eq!(read.rest(), b"", "{event}");
    }
}

#[test]
fn captured_datagrams_have_the_length_of_their_segments() {
    let codec = PacketCodec::new(&Config::default());
    for event in datagrams(&load("capture.json")) {
        let segments = each(event, "segments").iter().map(Expected::new);
        let plain: usize = segments
            .map(|expected| expected.segment().encoded_len())
            .sum();
        assert_eq!(
            plain + codec.overhead(),
            number::<usize>(event, "size"),
            "{event}"
        );
    }
}

fn datagrams(file: &Value) -> impl Iterator<Item = &Value> {
    each(file, "scenarios")
        .iter()
        .flat_map(|scenario| each(scenario, "events"))
        .filter(|event| event.get("size").is_some())
}

//! Any bytes as segments: what is read of them is written alike.

use mkcp::internal::wire::Segments;

pub type Input<'a> = &'a [u8];

pub fn run(datagram: Input<'_>) {
    let mut segments = Segments::new(datagram);
    let mut written = Vec::new();
    for segment in segments.by_ref() {
        let before = written.len();
        segment.encode(&mut written);
        assert_eq!(written.len() - before, segment.encoded_len());
    }
    assert_eq!(
        segments.next(),
        None,
        "reading goes on behind what was refused"
    );
    written.extend(segments.rest());
    assert_eq!(written, datagram);
}

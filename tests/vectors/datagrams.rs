//! Packet headers, and whole datagrams.

use mkcp::{
    Config, DropReason, Header,
    internal::{
        config::derive,
        packet::{NonceSource, PacketCodec, header::HeaderWriter},
    },
};
use serde_json::Value;

use super::{assert_reads, bytes, config, each, list, load, number, text};

const MTU: u16 = 1350;

#[test]
fn headers_are_written_byte_for_byte() {
    for case in each(&load("headers.json"), "headers") {
        let header: Header = text(case, "header").parse().unwrap();
        let size: usize = number(case, "size");
        assert_eq!(derive::header_len(&header), size);
        for instance in each(case, "instances") {
            let initial = &instance["initial"];
            let writer = match header {
                Header::None => HeaderWriter::none(),
                Header::Srtp => HeaderWriter::srtp(number(initial, "number")),
                Header::Utp => HeaderWriter::utp(number(initial, "connection_id")),
                Header::WechatVideo => HeaderWriter::wechat_video(number(initial, "sn")),
                Header::Dtls => HeaderWriter::dtls(
                    number(initial, "epoch"),
                    number(initial, "sequence"),
                    number(initial, "length"),
                ),
                Header::Wireguard => HeaderWriter::wireguard(),
                _ => panic!("no vectors are known for {header}"),
            };
            for output in each(instance, "outputs") {
                let mut written = vec![0xee; size];
                writer
                    .write(&mut written, &mut NonceSource::default())
                    .unwrap();
                let written: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(written, output.as_str().unwrap(), "{header} from {initial}");
            }
        }
    }
}

#[test]
fn datagrams_are_written_byte_for_byte() {
    for case in each(&load("datagrams.json"), "configurations") {
        let config = config(&case["header"], &case["seed"], MTU);
        let written: Vec<&Value> = each(case, "datagrams")
            .iter()
            .filter(|datagram| datagram.get("plain").is_some())
            .collect();
        let header = header_of(&config, &bytes(written[0], "datagram"));
        let codec = PacketCodec::with_header(&config, header);
        assert_eq!(
            codec.overhead() - uncounted(case),
            number::<usize>(case, "writer_overhead")
        );

        let nonces = written
            .iter()
            .filter(|datagram| datagram.get("nonce").is_some());
        let nonces = nonces
            .flat_map(|datagram| bytes(datagram, "nonce"))
            .collect();
        let mut nonces = NonceSource::starting_with(nonces);
        for datagram in written {
            let mut buffer = vec![0xee; 7];
            let start = codec.begin(&mut buffer);
            buffer.extend(bytes(datagram, "plain"));
            codec.seal(&mut buffer, start, &mut nonces).unwrap();
            assert_eq!(
                buffer[start..],
                bytes(datagram, "datagram"),
                "{config:?} {datagram}"
            );
        }
    }
}

#[test]
fn datagrams_are_opened_or_dropped_alike() {
    for case in each(&load("datagrams.json"), "configurations") {
        let codec = PacketCodec::new(&config(&case["header"], &case["seed"], MTU));
        for datagram in each(case, "datagrams") {
            assert_opens(&codec, datagram);
        }
    }
}

#[test]
fn datagrams_of_other_configurations_are_opened_or_dropped_alike() {
    for case in each(&load("datagrams.json"), "cross") {
        let codec = PacketCodec::new(&config(&case["read_header"], &case["read_seed"], MTU));
        assert_opens(&codec, case);
    }
}

#[test]
fn full_datagrams_are_as_long_as_the_mtu_and_never_longer() {
    for case in each(&load("datagrams.json"), "sizes") {
        let mtu = number(case, "mtu");
        let config = config(&case["header"], &case["seed"], mtu);
        let payload = derive::max_segment_payload(derive::max_plaintext(&config));
        let overhead = usize::from(mtu) - payload;
        // mKCP: upstream forgets the nonce, so that its datagrams exceed the MTU by so much.
        let upstream: usize = number(case, "mss_observed");
        assert_eq!(payload, upstream - uncounted(case), "{case}");
        let largest: usize = number(case, "largest_datagram_observed");
        assert_eq!(upstream + overhead, largest, "{case}");
    }
}

/// Asserts that a datagram reads as the Go reader read it, which says alike that a datagram was
/// dropped and that it held no segment.
fn assert_opens(codec: &PacketCodec, case: &Value) {
    let mut datagram = bytes(case, "datagram");
    match codec.open(&mut datagram) {
        Ok(plain) => assert_reads(plain, list(case, "read"), case),
        Err(reason) => {
            assert!(matches!(reason, DropReason::TooShort | DropReason::BadSeal));
            assert!(list(case, "read").is_empty(), "dropped as {reason}: {case}");
        }
    }
}

/// Bytes of the nonce, which upstream does not count when it says how much it adds.
fn uncounted(case: &Value) -> usize {
    if case["seed"].is_null() { 0 } else { 12 }
}

/// The writer whose first header is that of this datagram.
fn header_of(config: &Config, datagram: &[u8]) -> HeaderWriter {
    let u16_at = |at: usize| u16::from_be_bytes(datagram[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_be_bytes(datagram[at..at + 4].try_into().unwrap());
    match config.header() {
        Header::Srtp => HeaderWriter::srtp(u16_at(2).wrapping_sub(1)),
        Header::Utp => HeaderWriter::utp(u16_at(0)),
        Header::WechatVideo => HeaderWriter::wechat_video(u32_at(2).wrapping_sub(1)),
        Header::Dtls => HeaderWriter::dtls(u16_at(3), u32_at(7), u16_at(11)),
        other => HeaderWriter::new(other),
    }
}

//! What is written is read back, and what cannot be written is refused.

use std::time::Duration;

use mkcp::{
    Config, ConfigBuilder, Congestion, Header, Security, Seed,
    v2ray::{self, Certificate, Dialect, ReadOptions, StreamSettings, TlsSettings, TlsVersion},
};
use proptest::prelude::*;

use crate::corpus;

fn read(text: &str, dialect: Dialect) -> StreamSettings {
    let reading = v2ray::read(text, &ReadOptions::new().dialect(dialect)).unwrap();
    assert_eq!(reading.warnings(), [], "{text}");
    reading.into_settings()
}

fn headers() -> impl Strategy<Value = Header> {
    prop_oneof![
        Just(Header::None),
        Just(Header::Srtp),
        Just(Header::Utp),
        Just(Header::WechatVideo),
        Just(Header::Dtls),
        Just(Header::Wireguard),
        "[a-z]{0,8}\\.?[a-z]{0,5}".prop_map(Header::Dns),
    ]
}

fn securities() -> impl Strategy<Value = Security> {
    prop_oneof![
        Just(Security::None),
        Just(Security::Simple),
        ".{0,12}".prop_map(|seed| Security::Aes128Gcm(Seed::new(seed))),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|s| Security::Aes128Gcm(Seed::new(s))),
    ]
}

fn capacities() -> impl Strategy<Value = u64> {
    prop_oneof![4 => (0..5000_u64).prop_map(|mib| mib << 20), 1 => 0..1_u64 << 30]
}

prop_compose! {
    fn configs()(
        header in headers(),
        security in securities(),
        mtu in prop_oneof![400..1500_u16, 400..=65507_u16],
        tti in prop_oneof![10..=100_u64, 10..=1000_u64],
        uplink in capacities(),
        downlink in capacities(),
        write in prop_oneof![Just(512 << 10), (1..=1024_usize).prop_map(|mib| mib << 20), 65536..=1_usize << 30],
        lossy in any::<bool>(),
    ) -> ConfigBuilder {
        let congestion = if lossy { Congestion::LossRate } else { Congestion::Bbr };
        Config::builder().header(header).security(security).mtu(mtu)
            .tti(Duration::from_millis(tti)).uplink(uplink).downlink(downlink)
            .write_buffer(write).congestion(congestion)
    }
}

prop_compose! {
    fn tls()(
        name in prop::option::of("[a-z]{1,9}\\.org"),
        alpn in prop::option::of(prop::collection::vec("[a-z0-9/.]{1,8}", 1..3)),
        insecure in any::<bool>(),
        roots in any::<bool>(),
        versions in 0..3,
        certificates in 0..8,
        reject in prop::bool::weighted(0.2),
    ) -> TlsSettings {
        let mut tls = TlsSettings::new().with_allow_insecure(insecure).with_system_roots(roots).with_reject_unknown_names(reject);
        if let Some(name) = name { tls = tls.with_server_name(name); }
        if let Some(alpn) = alpn { tls = tls.with_alpn(alpn); }
        tls = match versions {
            0 => tls,
            1 => tls.with_versions(TlsVersion::Tls13, TlsVersion::Tls13),
            _ => tls.with_versions(TlsVersion::Tls12, TlsVersion::Tls12),
        };
        if certificates & 1 != 0 { tls = tls.with_certificate(Certificate::pem("a\nb\n", "c\nd")); }
        if certificates & 2 != 0 { tls = tls.with_certificate(Certificate::files("/a.crt", "/a.key")); }
        if certificates & 4 != 0 { tls = tls.with_root("r\n").with_root_file("/r.crt"); }
        tls
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(builder in configs(), tls in prop::option::of(tls())) {
        let Ok(config) = builder.build() else { return Ok(()); };
        let mut settings = StreamSettings::new(config);
        if let Some(tls) = tls { settings = settings.with_tls(tls); }
        for &dialect in Dialect::ALL {
            let Ok(written) = v2ray::write(&settings, dialect) else { continue; };
            let read = read(&written.to_string(), dialect);
            if written.warnings().is_empty() {
                prop_assert_eq!(&read, &settings, "{} {}", dialect, written);
            } else {
                prop_assert!(dialect.to_string().contains("xray26") || dialect == Dialect::Xray);
                prop_assert_eq!(written.warnings()[0].path(), "congestion");
                prop_assert_eq!(read.config().header(), settings.config().header());
                prop_assert_eq!(read.config().security(), settings.config().security());
                prop_assert_eq!(read.config().mtu(), settings.config().mtu());
                prop_assert_eq!(read.tls(), settings.tls());
            }
            // Without being told, the dialect is recognised, or one that says the same.
            let guessed = v2ray::read(&written.to_string(), &ReadOptions::new());
            if dialect != Dialect::Xray26_6_1 {
                prop_assert_eq!(guessed.unwrap().into_settings(), read.clone(), "{} {}", dialect, written);
            }
        }
    }

    #[test]
    fn links_are_read_back(builder in configs(), tls in prop::option::of(tls())) {
        let builder = builder.uplink(5 << 20).downlink(20 << 20).write_buffer(2 << 20);
        let Ok(config) = builder.congestion(Congestion::Bbr).build() else { return Ok(()); };
        let mut settings = StreamSettings::new(config);
        if let Some(tls) = tls { settings = settings.with_tls(tls); }
        for &dialect in Dialect::ALL {
            let Ok(written) = v2ray::write_share_params(&settings, dialect) else { continue; };
            let query = written.query();
            prop_assert!(query.starts_with("type=kcp&") && !query.contains(['+', ' ']));
            let link = format!("vless://id@[::1]:443?{query}&flow=&encryption=none#a%20b");
            let read = v2ray::read_share_params(&link, &ReadOptions::new().dialect(dialect));
            prop_assert_eq!(&read.unwrap().into_settings(), &settings, "{}", query);
            let guessed = v2ray::read_share_params(&link, &ReadOptions::new());
            if dialect != Dialect::Xray26_6_1 {
                prop_assert_eq!(&guessed.unwrap().into_settings(), &settings, "{}", query);
            }
        }
    }
}

#[test]
fn every_file_of_the_corpus_converts_or_says_why_not() {
    let (mut converted, mut refused) = (0, 0);
    for case in corpus::all() {
        let Ok(reading) = case.read() else { continue };
        let settings = reading.settings();
        for &dialect in Dialect::ALL {
            match v2ray::write(settings, dialect) {
                Ok(written) => {
                    let back = read(&written.to_string(), dialect);
                    assert_eq!(back.config().header(), settings.config().header());
                    assert_eq!(back.config().security(), settings.config().security());
                    assert_eq!(back.tls(), settings.tls());
                    converted += 1;
                }
                Err(error) => {
                    assert!(!error.path().is_empty(), "{error}");
                    if let Security::Aes128Gcm(seed) = settings.config().security() {
                        let seed = String::from_utf8_lossy(seed.as_bytes());
                        assert!(seed.len() < 4 || !error.to_string().contains(&*seed));
                    }
                    refused += 1;
                }
            }
        }
    }
    assert!(
        converted > 3 * refused,
        "{converted} converted, {refused} refused"
    );
}

#[test]
fn what_a_dialect_cannot_say_is_named() {
    let dns = Header::Dns("a.b".to_owned());
    let cases = [
        (
            Config::builder().security(Security::None),
            Dialect::V2ray4,
            "security",
        ),
        (
            Config::builder().security(Security::None),
            Dialect::V2fly5,
            "security",
        ),
        (
            Config::builder().header(dns.clone()),
            Dialect::V2ray4,
            "header",
        ),
        (Config::builder().header(dns), Dialect::V2fly5, "header"),
        (Config::builder().seed(""), Dialect::Xray, "seed"),
        (Config::builder().seed(""), Dialect::Xray26_6_1, "seed"),
        (Config::builder().seed([0xff]), Dialect::V2ray4, "seed"),
        (Config::builder().mtu(1500), Dialect::Xray25, "mtu"),
        (
            Config::builder().tti(Duration::from_millis(101)),
            Dialect::V2ray4,
            "tti",
        ),
        (
            Config::builder().tti(Duration::from_micros(10_500)),
            Dialect::Xray,
            "tti",
        ),
        (Config::builder().uplink(1), Dialect::Xray, "uplink"),
        (
            Config::builder().downlink(4 << 30),
            Dialect::V2fly5,
            "downlink",
        ),
        (
            Config::builder().write_buffer(65536),
            Dialect::V2ray4,
            "write_buffer",
        ),
    ];
    for (builder, dialect, field) in cases {
        let settings = StreamSettings::new(builder.build().unwrap());
        let error = v2ray::write(&settings, dialect).unwrap_err();
        assert_eq!(error.path(), field, "{error}");
    }
}

#[test]
fn what_only_this_side_does_is_left_out_and_named() {
    let config = Config::builder()
        .congestion(Congestion::Fixed)
        .read_buffer(1 << 20)
        .linger(Duration::ZERO)
        .build()
        .unwrap();
    let written = v2ray::write(&StreamSettings::new(config), Dialect::V2ray4).unwrap();
    let paths: Vec<&str> = written.warnings().iter().map(|w| w.path()).collect();
    assert_eq!(paths, ["congestion", "read_buffer", "linger"]);
}

#[test]
fn the_mtu_of_new_xray_does_not_count_the_masks() {
    let config = Config::builder()
        .header(Header::Srtp)
        .seed("s")
        .mtu(1350)
        .build()
        .unwrap();
    let settings = StreamSettings::new(config);
    let written = v2ray::write(&settings, Dialect::Xray).unwrap();
    assert_eq!(written.value()["kcpSettings"]["mtu"], 1350 - 4 - 28);
    let written = v2ray::write(&settings, Dialect::V2ray4).unwrap();
    assert_eq!(written.value()["kcpSettings"]["mtu"], 1350);
}

#[cfg(unix)]
#[test]
fn a_file_name_that_json_cannot_hold_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};
    let path = Path::new(OsStr::from_bytes(b"/\xff.crt"));
    let tls = TlsSettings::new().with_root_file(path);
    let settings = StreamSettings::new(Config::default()).with_tls(tls);
    for dialect in [Dialect::V2ray4, Dialect::V2fly5, Dialect::Xray] {
        let error = v2ray::write(&settings, dialect).unwrap_err();
        assert_eq!(error.path(), "tls.certificates");
    }
}

#[test]
fn an_empty_message_of_protobuf_is_nought() {
    let read = |kcp: &str| {
        let text = format!(r#"{{"transport": "kcp", "transportSettings": {kcp}}}"#);
        v2ray::read(&text, &ReadOptions::new())
    };
    let reading = read(r#"{"uplinkCapacity": {}}"#).unwrap();
    assert_eq!(reading.settings().config().uplink(), 0);
    let error = read(r#"{"tti": {}}"#).unwrap_err();
    assert_eq!(error.path(), "transportSettings.tti.value");
}

//! Share links as clients and panels make them.

use std::time::Duration;

use mkcp::{
    Config, Congestion, Header, Security,
    v2ray::{self, Dialect, ReadOptions, Reading, StreamSettings, TlsSettings},
};

use crate::corpus::summary;

fn read(link: &str) -> Reading {
    v2ray::read_share_params(link, &ReadOptions::new()).unwrap()
}

fn warned(reading: &Reading) -> Vec<&str> {
    reading
        .warnings()
        .iter()
        .map(|warning| warning.path())
        .collect()
}

#[test]
fn whole_links_give_address_port_and_name() {
    let link = "vless://3c1a7a9e@example.org:20001?type=kcp&encryption=none&flow=&headerType=wechat-video\
                &seed=a%2Bb%20c%26d&security=none#%E9%A6%99%E6%B8%AF+1";
    let reading = read(link);
    assert_eq!(
        summary(&reading),
        "v2ray4 outbound 香港+1 at example.org:20001, wechat-video seed:a+b c&d, \
         mtu 1350 tti 50 up 5 down 20 write 2097152 bbr"
    );
    assert_eq!(warned(&reading), [""; 0]);
    let reading = read("trojan://pw@[2001:db8::9]:443/?type=mkcp&seed=x");
    assert_eq!(
        (reading.address(), reading.port()),
        (Some("2001:db8::9"), Some(443))
    );
    assert_eq!(reading.tag(), None);
    let reading = read("vless://id@[2001:db8::1]?type=kcp&seed=x");
    assert_eq!(
        (reading.address(), reading.port()),
        (Some("2001:db8::1"), None)
    );
}

#[test]
fn addresses_that_cannot_be_used_are_told() {
    let cases = [
        ("host:99999", Some("host"), None, "port"),
        ("host:abc", Some("host"), None, "port"),
        ("host:+443", Some("host"), None, "port"),
        ("[::1]443", Some("::1"), None, "port"),
        ("::1:443", Some("::1:443"), None, "address"),
        ("ho%zzst:443", None, Some(443), "address"),
        ("%FF:443", None, Some(443), "address"),
        ("a%20b:443", None, Some(443), "address"),
    ];
    for (place, address, port, path) in cases {
        let reading = read(&format!("vless://id@{place}?type=kcp&seed=x"));
        assert_eq!(
            (reading.address(), reading.port()),
            (address, port),
            "{place}"
        );
        assert_eq!(warned(&reading), [path], "{place}");
    }
    let reading = read("vless://us%40er:p@ho%73t:443?type=kcp&seed=x");
    assert_eq!(
        (reading.address(), reading.port()),
        (Some("host"), Some(443))
    );
    assert_eq!(warned(&reading), [""; 0]);
    let reading = read("vless://id@[fe80::1%25eth0]:443?type=kcp&seed=x");
    assert_eq!(reading.address(), Some("fe80::1%eth0"));
}

#[test]
fn a_parameter_that_is_given_twice_is_told() {
    let reading = read("type=kcp&headerType=srtp&HeaderType=utp&seed=x&speed=1");
    assert_eq!(reading.settings().config().header(), &Header::Srtp);
    let texts: Vec<_> = reading.warnings().iter().map(|w| w.to_string()).collect();
    let expected = [
        "HeaderType is given twice: only the first has an effect",
        "speed is not known and has no effect",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn bare_parameters_will_do() {
    let reading = read("type=kcp&headerType=srtp&seed=s&mtu=1400&tti=20");
    assert_eq!(
        summary(&reading),
        "v2ray4 outbound, srtp seed:s, mtu 1400 tti 20 up 5 down 20 write 2097152 bbr"
    );
    let reading = read("type=kcp&headerType=dns&host=a.example");
    assert_eq!(reading.dialect(), Dialect::Xray25);
    let header = reading.settings().config().header().clone();
    assert_eq!(header, Header::Dns("a.example".to_owned()));
}

#[test]
fn tls_is_obeyed_by_every_name() {
    let reading =
        read("type=kcp&seed=s&security=tls&sni=x.org&alpn=h2%2Chttp%2F1.1&fp=chrome&insecure=1");
    let tls = reading.settings().tls().unwrap();
    assert_eq!(tls.configured_server_name(), Some("x.org"));
    assert!(tls.allow_insecure());
    assert_eq!(warned(&reading), ["fp"]);
    let reading = read("type=kcp&seed=s&security=xtls&sni=x.org&flow=xtls-rprx-direct");
    assert_eq!(
        reading.settings().tls(),
        Some(&TlsSettings::client("x.org"))
    );
    assert_eq!(warned(&reading), ["security"]);
    let reading = read("type=kcp&seed=s&security=none&sni=x.org&alpn=h2&insecure=1");
    assert!(reading.settings().tls().is_none());
    assert_eq!(warned(&reading), ["allowInsecure", "alpn", "sni"]);
}

#[test]
fn trojan_means_tls_unless_it_says_otherwise() {
    let reading = read("trojan://pw@example.org:443?type=kcp&seed=s&sni=x.org");
    let tls = reading.settings().tls().unwrap();
    assert_eq!(tls, &TlsSettings::client("x.org"));
    assert_eq!(warned(&reading), [""; 0]);
    assert!(
        read("TROJAN://pw@a.org:443?type=kcp&security=")
            .settings()
            .tls()
            .is_some()
    );
    assert!(
        read("trojan://pw@a.org:443?type=kcp&security=none")
            .settings()
            .tls()
            .is_none()
    );
    assert!(
        read("vless://id@a.org:443?type=kcp")
            .settings()
            .tls()
            .is_none()
    );
}

#[test]
fn pins_beside_an_insecure_connection_are_refused() {
    for insecure in ["insecure", "allowInsecure", "allow_insecure"] {
        for (name, value) in [("pcs", "e8e2d3"), ("vcn", "a.org")] {
            let link = format!("type=kcp&seed=s&security=tls&{insecure}=1&{name}={value}");
            let error = v2ray::read_share_params(&link, &ReadOptions::new()).unwrap_err();
            assert_eq!(error.path(), name, "{error}");
            let reading = read(&link.replace("=1", "=0"));
            assert!(!reading.settings().tls().unwrap().allow_insecure());
            assert_eq!(warned(&reading), [name]);
        }
    }
}

#[test]
fn names_of_one_setting_that_disagree_are_refused() {
    let tls = "type=kcp&seed=s&security=tls";
    let cases = [
        (
            "allowInsecure=1&insecure=0",
            "insecure is \"0\", must be absent or the same as allowInsecure, which is \"1\"",
        ),
        (
            "insecure=1&allowInsecure=false",
            "insecure is \"1\", must be absent or the same as allowInsecure, which is \"false\"",
        ),
        (
            "allow_insecure=1&insecure=maybe",
            "insecure is \"maybe\", must be absent or the same as allow_insecure, which is \"1\"",
        ),
        (
            "sni=a.org&peer=b.org",
            "peer is \"b.org\", must be absent or the same as sni, which is \"a.org\"",
        ),
    ];
    for (params, expected) in cases {
        let link = format!("{tls}&{params}");
        let error = v2ray::read_share_params(&link, &ReadOptions::new()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let agreed = "allowInsecure=1&allow_insecure=&insecure=true&sni=a.org&peer=A.org";
    let reading = read(&format!("{tls}&{agreed}"));
    let expected = TlsSettings::client("a.org").with_allow_insecure(true);
    assert_eq!(reading.settings().tls(), Some(&expected));
    assert_eq!(warned(&reading), [""; 0]);
}

#[test]
fn masks_come_as_json() {
    let fm = "%7B%22udp%22%3A%5B%7B%22type%22%3A%22mkcp-legacy%22%2C%22settings%22%3A%7B%22value%22%3A%22s%22%7D%7D%5D%7D";
    let reading = read(&format!("type=kcp&fm={fm}&mtu=1300"));
    assert_eq!(reading.dialect(), Dialect::Xray);
    assert_eq!(reading.settings().config().mtu(), 1328);
    assert_eq!(warned(&reading), [""; 0]);
    let reading = read(&format!("type=kcp&fm={fm}&headerType=srtp"));
    assert_eq!(warned(&reading), ["fm"]);
}

#[test]
fn what_is_ambiguous_or_unknown_is_told() {
    let reading = read("type=kcp&headerType=&seed=&speed=11");
    assert_eq!(reading.settings().config().security(), &Security::Simple);
    assert_eq!(warned(&reading), ["headerType", "speed"]);
}

#[test]
fn wrong_values_are_named_by_their_parameter() {
    let cases = [
        ("", "type is \"tcp\", must be kcp or mkcp"),
        ("type=ws&path=%2F", "type is \"ws\", must be kcp or mkcp"),
        ("type=kcp&mtu=99", "mtu is 99, must be 576 to 1460"),
        ("type=kcp&tti=fast", "tti is \"fast\", must be a number"),
        (
            "type=kcp&headerType=http",
            "headerType is \"http\", must be none, srtp,",
        ),
        ("type=kcp&seed=%FF", "seed is not text, must be UTF-8"),
        (
            "type=kcp&security=reality&pbk=x",
            "security is \"reality\", must be none, tls or xtls",
        ),
        (
            "type=kcp&security=tls&allowInsecure=maybe",
            "allowInsecure is \"maybe\", must be 1 or 0",
        ),
        ("type=kcp&fm=%7B", "fm is not JSON"),
        (
            "vmess://eyJ2IjoiMiJ9",
            "the document is a link without parameters",
        ),
    ];
    for (link, start) in cases {
        let text = v2ray::read_share_params(link, &ReadOptions::new())
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with(start),
            "{text:?} does not start with {start:?}"
        );
    }
}

#[test]
fn links_are_written_for_those_who_do_not_take_plus_for_space() {
    let config = Config::builder()
        .seed("a b+c")
        .header(Header::Utp)
        .mtu(1400);
    let settings = StreamSettings::new(config.build().unwrap());
    let query = v2ray::write_share_params(&settings, Dialect::V2ray4).unwrap();
    assert_eq!(
        query.query(),
        "type=kcp&headerType=utp&seed=a%20b%2Bc&mtu=1400&security=none"
    );
    let settings = settings.with_tls(TlsSettings::server("c", "k"));
    let error = v2ray::write_share_params(&settings, Dialect::V2ray4).unwrap_err();
    assert_eq!(error.path(), "tls.certificates");
}

#[test]
fn a_question_mark_may_stand_in_a_parameter() {
    let reading = read("type=kcp&seed=who?&extra=a://b?c");
    assert_eq!(
        reading.settings().config().security().to_string(),
        "aes-128-gcm"
    );
    assert_eq!(reading.address(), None);
    assert!(summary(&reading).contains("seed:who?"));
    assert!(summary(&read("?type=kcp&seed=who?")).contains("seed:who?"));
    let reading = read("vless://id@a.org:1?type=kcp&seed=who?");
    assert!(summary(&reading).contains("at a.org:1, none seed:who?"));
}

#[test]
fn null_masks_are_none() {
    let reading = read("type=kcp&seed=s&headerType=srtp&fm=null");
    assert!(
        summary(&reading).contains("srtp seed:s"),
        "{}",
        summary(&reading)
    );
    assert_eq!(reading.dialect(), Dialect::V2ray4);
    assert_eq!(warned(&reading), [""; 0]);
}

#[test]
fn the_dialect_can_be_chosen() {
    let read = |link: &str, dialect: Dialect| {
        v2ray::read_share_params(link, &ReadOptions::new().dialect(dialect).tag("ignored"))
    };
    let reading = read("type=kcp", Dialect::Xray).unwrap();
    assert_eq!(reading.settings().config().security(), &Security::None);
    assert_eq!(reading.warnings(), []);
    let refused = [
        ("type=kcp&seed=s", Dialect::Xray, "seed"),
        ("type=kcp&fm={}", Dialect::V2ray4, "fm"),
        (
            "type=kcp&fm={\"udp\":[{}]}",
            Dialect::Xray,
            "fm.udp[0].type",
        ),
        ("type=kcp", Dialect::V2fly5, "dialect"),
    ];
    for (link, dialect, path) in refused {
        assert_eq!(read(link, dialect).unwrap_err().path(), path);
    }
}

#[test]
fn what_links_cannot_say_is_refused_or_named() {
    let config = Config::builder()
        .congestion(Congestion::LossRate)
        .keepalive(Duration::from_secs(7));
    let settings = StreamSettings::new(config.build().unwrap());
    let error = v2ray::write_share_params(&settings, Dialect::V2ray4).unwrap_err();
    assert_eq!(error.path(), "congestion");
    let written = v2ray::write_share_params(&settings, Dialect::Xray).unwrap();
    let paths: Vec<&str> = written.warnings().iter().map(|w| w.path()).collect();
    assert_eq!(paths, ["congestion", "keepalive"]);
}

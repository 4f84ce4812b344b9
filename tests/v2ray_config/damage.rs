//! Damaged configurations are refused or read, but nothing panics.

use mkcp::{
    tls::rustls::ClientConnection,
    v2ray::{self, Dialect, ReadOptions, TlsSettings},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::corpus;

const ROUNDS: usize = 60;

/// Reads it in every way there is, and writes what was read.
fn exercise(text: &str, options: &ReadOptions) {
    let readings = [
        v2ray::read(text, options),
        v2ray::read(text, &ReadOptions::new()),
        v2ray::read_share_params(text),
    ];
    for reading in readings.into_iter().flatten() {
        let settings = reading.into_settings();
        for &dialect in Dialect::ALL {
            let _ = v2ray::write(&settings, dialect);
            let _ = v2ray::write_share_params(&settings, dialect);
        }
        if let Some(tls) = settings.tls() {
            hello(tls);
        }
    }
}

/// Whatever a client would say first: rustls must be able to say it.
fn hello(tls: &TlsSettings) {
    let name = tls.server_name("example.org");
    // Without the system's authorities, which take their time.
    let config = tls.clone().with_system_roots(false).client_config();
    if let (Ok(name), Ok(config)) = (name, config)
        && let Ok(mut client) = ClientConnection::new(config, name)
    {
        client.write_tls(&mut Vec::new()).unwrap();
    }
}

#[test]
fn truncated_files_do_not_panic() {
    for case in corpus::all() {
        let ends = case.text.char_indices().map(|(at, _)| at);
        for end in ends.step_by(7) {
            exercise(&case.text[..end], &case.options);
        }
    }
}

#[test]
fn changed_files_do_not_panic() {
    let mut rng = SmallRng::seed_from_u64(0x6d_6b_63_70);
    for case in corpus::all() {
        let lines = case.text.lines().filter(|line| !line.starts_with("//? "));
        let bare = lines.collect::<Vec<_>>().join("\n");
        let Ok(document) = parse(&bare) else {
            continue;
        };
        for round in 0..ROUNDS {
            let mut damaged = document.clone();
            for _ in 0..=rng.random_range(0..3) {
                damage(&mut damaged, &mut rng);
            }
            let text = damaged.to_string();
            let dialect = *Dialect::ALL.choose(&mut rng).unwrap();
            exercise(&text, &case.options);
            let forced = case.options.clone().dialect(dialect);
            exercise(&text, &forced);
            let error = v2ray::read(&text, &forced).err();
            let fine = error.is_none_or(|error| error.to_string().contains("must be"));
            assert!(fine, "{} in round {round}", case.name);
        }
    }
}

#[test]
fn changed_links_do_not_panic() {
    let link = "vless://id@[2001:db8::1]:443/?type=kcp&headerType=dns&host=a.b&seed=%E4%BD%A0&mtu=1400\
                &tti=20&security=tls&sni=x&alpn=h2%2Chttp%2F1.1&insecure=1&fm=%7B%22udp%22%3A%5B%5D%7D#n%20a";
    let mut rng = SmallRng::seed_from_u64(7);
    for _ in 0..5000 {
        let mut bytes = link.as_bytes().to_vec();
        for _ in 0..rng.random_range(1..4) {
            let Some(last) = bytes.len().checked_sub(1) else {
                break;
            };
            let at = rng.random_range(0..=last);
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random_range(0..=255),
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        exercise(&String::from_utf8_lossy(&bytes), &ReadOptions::new());
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "[".repeat(100_000);
    exercise(&deep, &ReadOptions::new());
    let text = format!(
        "{{\"network\": \"kcp\", \"kcpSettings\": {}",
        "{\"a\":".repeat(100_000)
    );
    assert!(v2ray::read(&text, &ReadOptions::new()).is_err());
    let link = format!("type=kcp&fm={deep}");
    assert!(v2ray::read_share_params(&link).is_err());
}

/// Every value below a key carries its path, and every unknown key has a warning.
#[test]
fn messages_do_not_outgrow_the_document() {
    let key = format!("certificate{}", "_".repeat(20_000));
    let document = json!({
        "transport": "kcp", "security": "tls",
        "securitySettings": {key: vec![json!({"certificateFile": "a", "k": 0}); 20_000]},
    });
    let reading = v2ray::read(&document.to_string(), &ReadOptions::new()).unwrap();
    let shown: usize = reading.warnings().iter().map(|w| w.to_string().len()).sum();
    assert!(shown < 10_000_000, "{shown} bytes");
    let mut keys = json!({"network": "kcp", "kcpSettings": {"seed": "s"}});
    for number in 0..5000 {
        keys[format!("key {number}\n")] = 0.into();
    }
    let reading = v2ray::read(&keys.to_string(), &ReadOptions::new()).unwrap();
    assert_eq!(reading.warnings().len(), 101);
    let text: Vec<String> = reading.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        text[100],
        "the document has 4900 more keys that are not known and have no effect"
    );
    assert!(!text.concat().contains('\n'));
}

/// A header that is longer than any datagram, with an MTU beside it.
#[test]
fn a_domain_longer_than_a_datagram_is_refused() {
    let mask = json!({"header": "dns", "value": "a.".repeat(35_000)});
    let masks = json!({"udp": [{"type": "mkcp-legacy", "settings": mask}]});
    let stream = json!({"network": "kcp", "kcpSettings": {"mtu": 1350}, "finalmask": masks});
    let error = v2ray::read(&stream.to_string(), &ReadOptions::new()).unwrap_err();
    assert_eq!(error.path(), "finalmask.udp[0].settings.value");
    assert!(error.to_string().len() < 300, "{error}");
    let link = format!("type=kcp&mtu=1350&fm={masks}");
    assert!(v2ray::read_share_params(&link).is_err());
}

fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_reader(json_comments::StripComments::new(text.as_bytes()))
}

/// Deletes, or replaces by something else, one value somewhere below.
fn damage(value: &mut Value, rng: &mut SmallRng) {
    let stay = rng.random_ratio(1, 8);
    match value {
        Value::Object(map) if !map.is_empty() && !stay => {
            let key = map
                .keys()
                .nth(rng.random_range(0..map.len()))
                .unwrap()
                .clone();
            match rng.random_range(0..8) {
                0 => drop(map.remove(&key)),
                1 => {
                    let moved = map.remove(&key).unwrap();
                    map.insert(key.to_uppercase(), moved);
                }
                _ => damage(&mut map[&key], rng),
            }
        }
        Value::Array(items) if !items.is_empty() && !stay => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => damage(&mut items[at], rng),
            }
        }
        _ => *value = anything(rng),
    }
}

fn anything(rng: &mut SmallRng) -> Value {
    let choices = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(21),
        json!(65535),
        json!(4_294_967_296_u64),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("kcp"),
        json!("none"),
        json!("dns"),
        json!("\u{0}\u{fffd}ä"),
        json!("x".repeat(300)),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"type": "mkcp-legacy"}),
        json!([{"type": "mkcp-legacy", "settings": {"header": "dns", "value": "a..b"}}]),
        json!([{"type": "mkcp-legacy", "settings": {"header": "dns", "value": "a.".repeat(35_000)}}]),
        json!("a.".repeat(35_000)),
        json!({"value": 1}),
    ];
    choices.choose(rng).unwrap().clone()
}

//! What stands around `streamSettings`.

use mkcp::v2ray::{self, ReadOptions, Reading};
use serde_json::{Value, json};

fn read(entry: &Value, list: &str, options: &ReadOptions) -> Result<Reading, v2ray::Error> {
    let mut entry = entry.clone();
    entry["streamSettings"] = json!({"network": "kcp", "kcpSettings": {"seed": "s"}});
    v2ray::read(&json!({list: [entry]}).to_string(), options)
}

fn warned(reading: &Reading) -> Vec<&str> {
    reading.warnings().iter().map(|w| w.path()).collect()
}

#[test]
fn every_port_of_a_list_is_one() {
    let inbound = json!({"port": "443,8000-8443"});
    let at = |port| read(&inbound, "inbounds", &ReadOptions::new().port(port));
    for port in [443, 8000, 8443] {
        let reading = at(port).unwrap();
        assert_eq!(reading.port(), Some(port));
        assert_eq!(reading.warnings(), []);
    }
    assert!(at(444).is_err());
    let reading = read(&inbound, "inbounds", &ReadOptions::new()).unwrap();
    assert_eq!(reading.port(), Some(443));
    assert_eq!(warned(&reading), ["inbounds[0].port"]);
}

#[test]
fn ports_that_are_none_are_told() {
    let options = ReadOptions::new();
    for port in [json!(70000), json!("env:PORT"), json!(-1), json!("+443")] {
        let reading = read(&json!({"port": port}), "inbounds", &options).unwrap();
        assert_eq!(reading.port(), None, "{port}");
        assert_eq!(warned(&reading), ["inbounds[0].port"], "{port}");
    }
    let server = json!({"address": "a.org", "port": 65536});
    let cases = [
        (json!({"vnext": [server]}), "vnext[0].port"),
        (json!({"servers": [server]}), "servers[0].port"),
        (json!({"redirect": "a.org:99999"}), "redirect"),
    ];
    for (settings, path) in cases {
        let reading = read(&json!({"settings": settings}), "outbounds", &options).unwrap();
        assert_eq!((reading.address(), reading.port()), (Some("a.org"), None));
        assert_eq!(warned(&reading), [format!("outbounds[0].settings.{path}")]);
    }
    let settings = json!({"redirect": "::1:443"});
    let reading = read(&json!({"settings": settings}), "outbounds", &options).unwrap();
    assert_eq!(warned(&reading), ["outbounds[0].settings.redirect"]);
}

#[test]
fn neighbours_that_decide_the_way_are_told() {
    let outbound = json!({
        "proxySettings": {"tag": "other"}, "sendThrough": "192.0.2.1",
        "settings": {"redirect": "[2001:db8::1]:443"},
    });
    let reading = read(&outbound, "outbounds", &ReadOptions::new()).unwrap();
    assert_eq!(reading.address(), Some("2001:db8::1"));
    let paths = ["outbounds[0].proxySettings.tag", "outbounds[0].sendThrough"];
    assert_eq!(warned(&reading), paths);
    let stream = json!({
        "network": "kcp", "kcpSettings": {"seed": "s"}, "sockopt": {"dialerProxy": "other"},
    });
    let reading = v2ray::read(&stream.to_string(), &ReadOptions::new()).unwrap();
    assert_eq!(warned(&reading), ["sockopt.dialerProxy", "sockopt"]);
    let nothing = json!({"proxySettings": {"tag": ""}, "sendThrough": null});
    let reading = read(&nothing, "outbounds", &ReadOptions::new()).unwrap();
    assert_eq!(reading.warnings(), []);
}

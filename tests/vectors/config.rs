//! Windows and buffers as upstream computes them from its settings.

use std::time::Duration;

use mkcp::{Config, internal::config::derive};
use serde_json::Value;

use super::{each, load, number};

/// Upstream's capacity in 32 bits: this many MiB/s are none.
const WRAP: u64 = 4096;

#[test]
fn windows_and_buffers_are_those_of_upstream() {
    let file = load("config.json");
    let mut panics = 0;
    for case in each(&file, "cases") {
        let setting = |key: &str| {
            let set = if case[key].is_null() {
                &file["defaults"]
            } else {
                case
            };
            number::<u64>(set, key)
        };
        let is_panic = |key: &str| {
            case[key]
                .as_str()
                .is_some_and(|text| text.starts_with("panic"))
        };
        let mtu = u16::try_from(setting("mtu")).unwrap();
        let tti = Duration::from_millis(setting("tti"));
        if SIZES.into_iter().any(is_panic) {
            let refused = Config::builder().mtu(mtu).tti(tti).build();
            assert!(refused.is_err(), "{case}");
            panics += 1;
            continue;
        }
        let in_flight =
            |key| derive::segments_per_interval(setting(key) % WRAP * 1024 * 1024, mtu, tti);
        let buffer = |key| derive::segments_per_buffer(usize::try_from(setting(key)).unwrap(), mtu);
        let derived = [
            in_flight("uplink"),
            buffer("write_buffer"),
            in_flight("downlink"),
            buffer("read_buffer"),
        ];
        assert_eq!(derived, SIZES.map(|key| number::<u64>(case, key)), "{case}");
    }
    assert!(panics > 0, "no case where upstream panics");
}

const SIZES: [&str; 4] = [
    "sending_in_flight_size",
    "sending_buffer_size",
    "receiving_in_flight_size",
    "receiving_buffer_size",
];

#[test]
fn settings_that_upstream_has_too_have_its_defaults() {
    let defaults: &Value = &load("config.json")["defaults"];
    let config = Config::default();
    assert_eq!(config.mtu(), number::<u16>(defaults, "mtu"));
    assert_eq!(config.tti(), Duration::from_millis(number(defaults, "tti")));
    assert_eq!(config.uplink(), number::<u64>(defaults, "uplink") << 20);
    assert_eq!(config.downlink(), number::<u64>(defaults, "downlink") << 20);
    assert_eq!(
        config.write_buffer(),
        number::<usize>(defaults, "write_buffer")
    );
}

//! Every rule that a [`Config`] keeps, checked once in `ConfigBuilder::build`.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use super::{Config, Header, derive};
use crate::error::ConfigError;

/// The largest UDP payload over IPv4.
const MAX_DATAGRAM: u16 = 65507;
const CAPACITY: RangeInclusive<u64> = 0..=1 << 40;
const BUFFER: RangeInclusive<usize> = 64 * 1024..=1024 * 1024 * 1024;
/// Full datagrams that a read buffer must hold: with fewer, segments wait for each other, and those
/// that find no room are sent again.
const LEAST_DATAGRAMS: usize = 16;
/// A DNS name, encoded, as Xray's encoder accepts it.
const MAX_DNS_NAME: usize = 256;
const MAX_DNS_LABEL: usize = 63;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    header(&config.header)?;
    mtu(config)?;
    duration(
        "tti",
        config.tti,
        Duration::from_millis(10)..=Duration::from_secs(1),
    )?;
    range("uplink", config.uplink, CAPACITY, " bytes per second")?;
    range("downlink", config.downlink, CAPACITY, " bytes per second")?;
    range("read_buffer", config.read_buffer, BUFFER, " bytes")?;
    datagrams(config)?;
    range("write_buffer", config.write_buffer, BUFFER, " bytes")?;
    let hour = Duration::from_secs(3600);
    duration(
        "idle_timeout",
        config.idle_timeout,
        Duration::from_secs(6)..=24 * hour,
    )?;
    duration("keepalive", config.keepalive, Duration::from_secs(1)..=hour)?;
    if config.keepalive >= config.idle_timeout {
        let expected = format!("less than idle_timeout, which is {:?}", config.idle_timeout);
        return Err(ConfigError::new(
            "keepalive",
            format!("{:?}", config.keepalive),
            expected,
        ));
    }
    duration("linger", config.linger, Duration::ZERO..=hour)
}

pub(crate) fn header(header: &Header) -> Result<(), ConfigError> {
    let Header::Dns(domain) = header else {
        return Ok(());
    };
    let encoded = derive::encode_dns_name(domain);
    match encoded {
        Some(name) if name.len() <= MAX_DNS_NAME => Ok(()),
        _ => Err(ConfigError::new(
            "header",
            header,
            format_args!(
                "a domain with labels of at most {MAX_DNS_LABEL} bytes, \
                 at most {MAX_DNS_NAME} bytes when encoded"
            ),
        )),
    }
}

fn mtu(config: &Config) -> Result<(), ConfigError> {
    let least = derive::least_mtu(&config.header, &config.security);
    if (least..=usize::from(MAX_DATAGRAM)).contains(&usize::from(config.mtu)) {
        return Ok(());
    }
    let expected = format!(
        "{least} to {MAX_DATAGRAM} with header {} and security {}",
        config.header, config.security
    );
    Err(ConfigError::new("mtu", config.mtu, expected))
}

fn datagrams(config: &Config) -> Result<(), ConfigError> {
    let least = LEAST_DATAGRAMS * usize::from(config.mtu);
    if config.read_buffer >= least {
        return Ok(());
    }
    let expected = format!(
        "at least {least} bytes, {LEAST_DATAGRAMS} datagrams of the mtu, which is {}",
        config.mtu
    );
    Err(ConfigError::new(
        "read_buffer",
        config.read_buffer,
        expected,
    ))
}

fn range<T: PartialOrd + Display>(
    field: &'static str,
    value: T,
    allowed: RangeInclusive<T>,
    unit: &str,
) -> Result<(), ConfigError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let expected = format!("{} to {}{unit}", allowed.start(), allowed.end());
    Err(ConfigError::new(field, value, expected))
}

fn duration(
    field: &'static str,
    value: Duration,
    allowed: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let expected = format!("{:?} to {:?}", allowed.start(), allowed.end());
    Err(ConfigError::new(field, format!("{value:?}"), expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigBuilder, Security};

    fn refused(builder: ConfigBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::builder().build(), Ok(Config::default()));
    }

    #[test]
    fn the_least_mtu_depends_on_header_and_security() {
        let bare = Config::builder().security(Security::None);
        assert!(bare.clone().mtu(21).build().is_ok());
        assert_eq!(
            refused(bare.mtu(20)),
            "mtu is 20, must be 21 to 65507 with header none and security none"
        );
        let sealed = Config::builder().header(Header::Srtp).seed("");
        assert!(sealed.clone().mtu(53).build().is_ok());
        assert_eq!(
            refused(sealed.mtu(52)),
            "mtu is 52, must be 53 to 65507 with header srtp and security aes-128-gcm"
        );
    }

    #[test]
    fn a_read_buffer_holds_some_datagrams() {
        let jumbo = Config::builder().mtu(65507);
        assert!(jumbo.clone().read_buffer(1 << 20).build().is_ok());
        assert_eq!(
            refused(jumbo.read_buffer(64 * 1024)),
            "read_buffer is 65536, must be at least 1048112 bytes, \
             16 datagrams of the mtu, which is 65507"
        );
        let least = Config::builder().mtu(4096).read_buffer(64 * 1024);
        assert!(least.build().is_ok());
    }

    #[test]
    fn the_default_keepalive_goes_with_every_idle_timeout() {
        let seconds = Duration::from_secs;
        let keepalive = |idle| {
            let config = Config::builder().idle_timeout(seconds(idle)).build();
            config.unwrap().keepalive()
        };
        assert_eq!(keepalive(6), seconds(2));
        assert_eq!(keepalive(30), seconds(10));
        assert_eq!(keepalive(24 * 3600), seconds(10));
        let chosen = Config::builder().keepalive(seconds(8));
        assert_eq!(
            refused(chosen.idle_timeout(seconds(8))),
            "keepalive is 8s, must be less than idle_timeout, which is 8s"
        );
    }

    #[test]
    fn each_field_is_checked_and_named() {
        let second = Duration::from_secs(1);
        let cases = [
            (
                Config::builder().mtu(65508),
                "mtu is 65508, must be 27 to 65507",
            ),
            (
                Config::builder().tti(second / 200),
                "tti is 5ms, must be 10ms to 1s",
            ),
            (
                Config::builder().tti(2 * second),
                "tti is 2s, must be 10ms to 1s",
            ),
            (
                Config::builder().uplink(u64::MAX),
                "uplink is 18446744073709551615, must be 0 to",
            ),
            (
                Config::builder().downlink(u64::MAX),
                "downlink is 18446744073709551615, must",
            ),
            (
                Config::builder().read_buffer(1),
                "read_buffer is 1, must be 65536 to 1073741824",
            ),
            (
                Config::builder().write_buffer(0),
                "write_buffer is 0, must be 65536 to",
            ),
            (
                Config::builder().keepalive(second / 2),
                "keepalive is 500ms, must be 1s to 3600s",
            ),
            (
                Config::builder().keepalive(40 * second),
                "keepalive is 40s, must be less than idle",
            ),
            (
                Config::builder().idle_timeout(second),
                "idle_timeout is 1s, must be 6s to 86400s",
            ),
            (
                Config::builder().linger(second * 3601),
                "linger is 3601s, must be 0ns to 3600s",
            ),
            (
                Config::builder().header(Header::Dns("a".repeat(64))),
                "header is dns:aaaa",
            ),
            (
                Config::builder().header(Header::Dns("a.".repeat(200))),
                "header is dns:a.a.",
            ),
        ];
        for (builder, start) in cases {
            let text = refused(builder);
            assert!(
                text.starts_with(start),
                "{text:?} does not start with {start:?}"
            );
        }
    }
}

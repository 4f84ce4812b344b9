//! Settings that the fuzzer chooses.

use std::{sync::Arc, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use mkcp::{
    Config, Congestion, Header, Security, Seed,
    internal::{config::derive, packet::header::HeaderWriter},
};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Disguise<'a> {
    None,
    Srtp,
    Utp,
    WechatVideo,
    Dtls,
    Wireguard,
    Dns(&'a str),
}

impl Disguise<'_> {
    pub fn header(self) -> Header {
        match self {
            Self::None => Header::None,
            Self::Srtp => Header::Srtp,
            Self::Utp => Header::Utp,
            Self::WechatVideo => Header::WechatVideo,
            Self::Dtls => Header::Dtls,
            Self::Wireguard => Header::Wireguard,
            Self::Dns(domain) => Header::Dns(domain.to_owned()),
        }
    }

    /// A writer in a known state.
    pub fn writer(self) -> HeaderWriter {
        match self {
            Self::None => HeaderWriter::none(),
            Self::Srtp => HeaderWriter::srtp(7),
            Self::Utp => HeaderWriter::utp(7),
            Self::WechatVideo => HeaderWriter::wechat_video(7),
            Self::Dtls => HeaderWriter::dtls(7, 0, 17),
            Self::Wireguard => HeaderWriter::wireguard(),
            Self::Dns(domain) => HeaderWriter::dns(domain),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Protection<'a> {
    None,
    Simple,
    Aes128Gcm(&'a [u8]),
}

impl Protection<'_> {
    pub fn security(self) -> Security {
        match self {
            Self::None => Security::None,
            Self::Simple => Security::Simple,
            Self::Aes128Gcm(seed) => Security::Aes128Gcm(Seed::new(seed)),
        }
    }
}

/// What of the settings a connection goes by. The buffers are small, so that they get full.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Path {
    mtu: u16,
    congestion: Control,
    tti: u8,
    /// MiB/s.
    uplink: u8,
    downlink: u8,
    /// Of 64 KiB, one more than this.
    read_buffers: u8,
    write_buffers: u8,
    /// Seconds.
    linger: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Control {
    Bbr,
    Fixed,
    LossRate,
}

impl Path {
    pub fn config(self) -> Arc<Config> {
        let least = derive::least_mtu(&Header::None, &Security::None) as u16;
        let buffer = |more: u8| 64 * 1024 * (usize::from(more % 8) + 1);
        let config = Config::builder()
            .security(Security::None)
            .mtu(least + self.mtu % 2048)
            .congestion(match self.congestion {
                Control::Bbr => Congestion::Bbr,
                Control::Fixed => Congestion::Fixed,
                Control::LossRate => Congestion::LossRate,
            })
            .tti(Duration::from_millis(10 + u64::from(self.tti)))
            .uplink(u64::from(self.uplink) << 20)
            .downlink(u64::from(self.downlink) << 20)
            .read_buffer(buffer(self.read_buffers))
            .write_buffer(buffer(self.write_buffers))
            .linger(Duration::from_secs(self.linger.into()));
        Arc::new(config.build().expect("every value is in range"))
    }
}

/// What happens one after the other, as long as the fuzzer gives bytes for it.
#[derive(Debug)]
pub struct Steps<T>(pub Vec<T>);

const MOST_STEPS: usize = 400;

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Steps<T> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < MOST_STEPS {
            steps.push(bytes.arbitrary()?);
        }
        Ok(Self(steps))
    }
}

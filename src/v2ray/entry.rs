//! One inbound or outbound: what stands around its `streamSettings`.

use super::{
    ReadOptions, Side,
    cursor::Cursor,
    error::Warning,
    host::{check_brackets, split_host_port},
    object::Object,
    ports::{self, Ports},
    settings,
};

/// An inbound or outbound.
pub(super) struct Entry<'a> {
    pub(super) path: String,
    pub(super) side: Option<Side>,
    pub(super) tag: Option<String>,
    pub(super) address: Option<String>,
    pub(super) ports: Ports,
    pub(super) stream: Option<Cursor<'a>>,
    pub(super) kcp: bool,
    /// About neighbours of `streamSettings`, if this is the entry that is chosen.
    pub(super) warnings: Vec<Warning>,
}

impl Entry<'_> {
    pub(super) fn fits(&self, options: &ReadOptions) -> bool {
        let tag = options
            .tag
            .as_ref()
            .is_none_or(|tag| self.tag.as_ref() == Some(tag));
        let port = options
            .port
            .is_none_or(|port| self.ports.iter().any(|range| range.contains(&port)));
        let side = options
            .side
            .is_none_or(|side| self.side.is_none_or(|own| own == side));
        tag && port && side
    }
}

pub(super) fn read(mut object: Object<'_>, side: Option<Side>) -> Entry<'_> {
    let tag = object.get("tag").and_then(|tag| tag.string().ok());
    let stream = object.get("streamSettings");
    let kcp = stream.as_ref().is_some_and(settings::is_kcp);
    let mut warnings = Vec::new();
    let (address, ports) = match side.or_else(|| guess_side(&mut object)) {
        Some(Side::Outbound) => destination(&mut object, &mut warnings),
        _ => {
            let listen = object.get("listen");
            let listen = listen.and_then(|listen| listen.string().ok());
            (
                listen.map(str::to_owned),
                ports_of(&mut object, &mut warnings),
            )
        }
    };
    neighbours(&mut object, &mut warnings);
    Entry {
        path: object.path().to_owned(),
        side,
        tag: tag.filter(|tag| !tag.is_empty()).map(str::to_owned),
        address,
        ports,
        stream,
        kcp,
        warnings,
    }
}

/// What decides how an outbound gets to its destination, and is not followed here.
fn neighbours(object: &mut Object<'_>, warnings: &mut Vec<Warning>) {
    let proxy = object.get("proxySettings");
    if let Some(mut proxy) = proxy.and_then(|proxy| proxy.object().ok()) {
        let why = ": the chain through another outbound is not followed here";
        proxy.dead("tag", why, warnings);
    }
    let why = ": the system chooses the local address";
    object.dead("sendThrough", why, warnings);
}

/// What a lone object is: inbounds have a port, outbounds a destination in their settings.
pub(super) fn guess_side(object: &mut Object<'_>) -> Option<Side> {
    if object.has("port") || object.has("listen") {
        return Some(Side::Inbound);
    }
    let (_, ports) = destination(object, &mut Vec::new());
    (!ports.is_empty()).then_some(Side::Outbound)
}

type Destination = (Option<String>, Ports);

/// Where an outbound goes, if its protocol's settings say so in a known way. They belong to the
/// proxy, so what cannot be understood is passed over; but a port that is none is told.
fn destination(object: &mut Object<'_>, warnings: &mut Vec<Warning>) -> Destination {
    let Some(mut settings) = object.get("settings").and_then(|s| s.object().ok()) else {
        return Destination::default();
    };
    let path = settings.path_of("redirect");
    if let Some(text) = settings.get("redirect").and_then(|r| r.string().ok()) {
        check_brackets(text, &path, warnings);
        let (host, port) = split_host_port(text);
        let host = (!host.is_empty()).then(|| host.to_owned());
        let ports = ports::parse(port.unwrap_or_default(), &path, warnings);
        return (host, ports);
    }
    for list in ["vnext", "servers"] {
        let servers = settings.get(list).and_then(|list| list.array().ok());
        let first = servers.and_then(|servers| servers.into_iter().next());
        if let Some(server) = first.and_then(|first| first.object().ok()) {
            return server_of(server, warnings);
        }
    }
    let overridden = settings
        .get("destinationOverride")
        .and_then(|o| o.object().ok());
    let server = overridden.and_then(|mut over| over.get("server"));
    match server.and_then(|server| server.object().ok()) {
        Some(server) => server_of(server, warnings),
        None => server_of(settings, warnings),
    }
}

fn server_of(mut server: Object<'_>, warnings: &mut Vec<Warning>) -> Destination {
    let address = server.get("address").and_then(|a| a.string().ok());
    let ports = ports_of(&mut server, warnings);
    (address.map(str::to_owned), ports)
}

fn ports_of(object: &mut Object<'_>, warnings: &mut Vec<Warning>) -> Ports {
    let ports = object.get("port").map(|port| ports::read(&port, warnings));
    ports.unwrap_or_default()
}

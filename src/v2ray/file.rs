//! Which part of a document holds the settings that are wanted.

use super::{
    ReadOptions, Side,
    cursor::Cursor,
    error::{Error, Warning},
    object::Object,
    settings,
};

/// The `streamSettings` that were chosen, and what stands around them.
pub(super) struct Chosen<'a> {
    pub(super) stream: Object<'a>,
    /// `transport.kcpSettings`, for streams that have none of their own.
    pub(super) shared: Option<Cursor<'a>>,
    pub(super) side: Option<Side>,
    pub(super) tag: Option<String>,
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
}

/// Lists of inbounds and outbounds, the last four from before V2Ray 4.
const LISTS: [(&str, Side); 6] = [
    ("inbounds", Side::Inbound),
    ("outbounds", Side::Outbound),
    ("inbound", Side::Inbound),
    ("outbound", Side::Outbound),
    ("inboundDetour", Side::Inbound),
    ("outboundDetour", Side::Outbound),
];

/// An inbound or outbound.
struct Entry<'a> {
    path: String,
    side: Option<Side>,
    tag: Option<String>,
    address: Option<String>,
    ports: Option<(u16, u16)>,
    stream: Option<Cursor<'a>>,
    kcp: bool,
}

/// A document is a whole file, one inbound or outbound, or bare `streamSettings`.
pub(super) fn choose<'a>(
    mut root: Object<'a>,
    options: &ReadOptions,
    warnings: &mut Vec<Warning>,
) -> Result<Chosen<'a>, Error> {
    if LISTS.iter().any(|(list, _)| root.has(list)) {
        let entries = all_entries(&mut root)?;
        let shared = shared(&mut root)?;
        let entry = choose_entry(entries, options)?;
        return finish(entry, shared, warnings);
    }
    if root.has("streamSettings") || root.has("protocol") {
        let mut entry = read_entry(root.clone(), None)?;
        entry.side = guess_side(&mut root);
        if !entry.fits(options) {
            return Err(nothing_fits(options, "one that does not fit"));
        }
        return finish(entry, None, warnings);
    }
    if options.tag.is_some() || options.port.is_some() || options.side.is_some() {
        return Err(nothing_fits(options, "bare streamSettings"));
    }
    Ok(Chosen {
        stream: root,
        shared: None,
        side: None,
        tag: None,
        address: None,
        port: None,
    })
}

fn finish<'a>(
    entry: Entry<'a>,
    shared: Option<Cursor<'a>>,
    warnings: &mut Vec<Warning>,
) -> Result<Chosen<'a>, Error> {
    let path = match entry.path.as_str() {
        "" => "streamSettings".to_owned(),
        path => format!("{path}.streamSettings"),
    };
    let Some(stream) = entry.stream else {
        let expected = "given, because the network without it is tcp";
        return Err(Error::new(path, "absent", expected));
    };
    if let Some((first, last)) = entry.ports.filter(|(first, last)| first != last) {
        let message = format!("is a range of ports up to {last}: only {first} is given on");
        warnings.push(Warning::new(format!("{}.port", entry.path), message));
    }
    Ok(Chosen {
        stream: stream.object()?,
        shared,
        side: entry.side,
        tag: entry.tag,
        address: entry.address,
        port: entry.ports.map(|(first, _)| first),
    })
}

fn all_entries<'a>(root: &mut Object<'a>) -> Result<Vec<Entry<'a>>, Error> {
    let mut entries = Vec::new();
    for (key, side) in LISTS {
        let Some(list) = root.get(key) else {
            continue;
        };
        let single = key == "inbound" || key == "outbound";
        let items = if single { vec![list] } else { list.array()? };
        for item in items {
            entries.push(read_entry(item.object()?, Some(side))?);
        }
    }
    Ok(entries)
}

fn shared<'a>(root: &mut Object<'a>) -> Result<Option<Cursor<'a>>, Error> {
    let Some(transport) = root.get("transport") else {
        return Ok(None);
    };
    Ok(transport.object()?.get("kcpSettings"))
}

fn choose_entry<'a>(entries: Vec<Entry<'a>>, options: &ReadOptions) -> Result<Entry<'a>, Error> {
    let mut fitting: Vec<Entry<'a>> = entries.into_iter().filter(|e| e.fits(options)).collect();
    let named = options.tag.is_some() || options.port.is_some();
    // One that was asked for by name is taken, so that the error can say that it is not of mKCP.
    if fitting.len() != 1 || !named {
        fitting.retain(|entry| entry.kcp);
    }
    if fitting.len() > 1 {
        let paths: Vec<&str> = fitting.iter().map(|entry| entry.path.as_str()).collect();
        let value = format!("a file with several kcp networks ({})", paths.join(", "));
        return Err(Error::new(
            "",
            value,
            "read with a tag or a port that names one",
        ));
    }
    let found = fitting.pop();
    found.ok_or_else(|| nothing_fits(options, "a file without one"))
}

fn nothing_fits(options: &ReadOptions, value: &str) -> Error {
    let mut expected = match options.side {
        Some(Side::Inbound) => "a file with an inbound over kcp".to_owned(),
        Some(Side::Outbound) => "a file with an outbound over kcp".to_owned(),
        None => "a file with an inbound or outbound over kcp".to_owned(),
    };
    if let Some(tag) = &options.tag {
        expected += &format!(" and the tag {tag:?}");
    }
    if let Some(port) = options.port {
        expected += &format!(" and the port {port}");
    }
    Error::new("", value, expected)
}

impl Entry<'_> {
    fn fits(&self, options: &ReadOptions) -> bool {
        let tag = options
            .tag
            .as_ref()
            .is_none_or(|tag| self.tag.as_ref() == Some(tag));
        let in_range = |port| {
            let ports = self.ports;
            ports.is_some_and(|(first, last)| (first..=last).contains(&port))
        };
        let side = options
            .side
            .is_none_or(|side| self.side.is_none_or(|own| own == side));
        tag && side && options.port.is_none_or(in_range)
    }
}

fn read_entry(mut object: Object<'_>, side: Option<Side>) -> Result<Entry<'_>, Error> {
    let tag = object.get("tag").and_then(|tag| tag.string().ok());
    let stream = object.get("streamSettings");
    let kcp = stream.as_ref().is_some_and(settings::is_kcp);
    let (address, ports) = match side.or_else(|| guess_side(&mut object)) {
        Some(Side::Outbound) => destination(&mut object),
        _ => {
            let listen = object.get("listen");
            let listen = listen.and_then(|listen| listen.string().ok());
            (listen.map(str::to_owned), ports(object.get("port")))
        }
    };
    Ok(Entry {
        path: object.path().to_owned(),
        side,
        tag: tag.filter(|tag| !tag.is_empty()).map(str::to_owned),
        address,
        ports,
        stream,
        kcp,
    })
}

/// What a lone object is: inbounds have a port, outbounds a destination in their settings.
fn guess_side(object: &mut Object<'_>) -> Option<Side> {
    if object.has("port") || object.has("listen") {
        return Some(Side::Inbound);
    }
    destination(object).1.map(|_| Side::Outbound)
}

type Destination = (Option<String>, Option<(u16, u16)>);

/// Where an outbound goes, if its protocol's settings say so in a known way. They belong to the
/// proxy, so what cannot be understood is passed over.
fn destination(object: &mut Object<'_>) -> Destination {
    let Some(mut settings) = object.get("settings").and_then(|s| s.object().ok()) else {
        return (None, None);
    };
    if let Some(text) = settings.get("redirect").and_then(|r| r.string().ok()) {
        return split_host_port(text);
    }
    for list in ["vnext", "servers"] {
        let servers = settings.get(list).and_then(|list| list.array().ok());
        let first = servers.and_then(|servers| servers.into_iter().next());
        if let Some(server) = first.and_then(|first| first.object().ok()) {
            return server_of(server);
        }
    }
    let overridden = settings
        .get("destinationOverride")
        .and_then(|o| o.object().ok());
    let server = overridden.and_then(|mut over| over.get("server"));
    match server.and_then(|server| server.object().ok()) {
        Some(server) => server_of(server),
        None => server_of(settings),
    }
}

fn server_of(mut server: Object<'_>) -> Destination {
    let address = server.get("address").and_then(|a| a.string().ok());
    (address.map(str::to_owned), ports(server.get("port")))
}

/// `host:port`; the host may be empty or in brackets.
pub(super) fn split_host_port(text: &str) -> Destination {
    let Some((host, port)) = text.rsplit_once(':') else {
        return (Some(text.to_owned()), None);
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = (!host.is_empty()).then(|| host.to_owned());
    (host, port.parse().ok().map(|port| (port, port)))
}

/// A number, or a text such as `443`, `1000-2000` or `443,8443`: the first range of it.
fn ports(cursor: Option<Cursor<'_>>) -> Option<(u16, u16)> {
    let cursor = cursor?;
    if let Ok(number) = cursor.number() {
        let port = u16::try_from(number).ok()?;
        return Some((port, port));
    }
    let text = cursor.string().ok()?;
    let first = text.split(',').next()?;
    let (from, to) = first.split_once('-').unwrap_or((first, first));
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        let split = |text| {
            let (host, ports) = split_host_port(text);
            (host.unwrap_or_default(), ports.map(|(port, _)| port))
        };
        assert_eq!(split("a.org:80"), ("a.org".to_owned(), Some(80)));
        assert_eq!(split(":80"), (String::new(), Some(80)));
        assert_eq!(split("[::1]:80"), ("::1".to_owned(), Some(80)));
        assert_eq!(split("a.org"), ("a.org".to_owned(), None));
        assert_eq!(split("a.org:http"), ("a.org".to_owned(), None));
    }

    #[test]
    fn ports_come_in_every_form() {
        let read = |value: serde_json::Value| ports(Some(Cursor::root(&value)));
        assert_eq!(read(443.into()), Some((443, 443)));
        assert_eq!(read("443".into()), Some((443, 443)));
        assert_eq!(read("1000-2000, 3000".into()), Some((1000, 2000)));
        assert_eq!(read("env:PORT".into()), None);
        assert_eq!(read(65536.into()), None);
    }
}

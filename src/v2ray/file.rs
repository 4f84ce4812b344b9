//! Which part of a document holds the settings that are wanted.

use super::{
    ReadOptions, Side,
    cursor::Cursor,
    entry::{self, Entry},
    error::{Error, Warning},
    object::Object,
    ports,
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
        return finish(entry, shared, options.port, warnings);
    }
    if root.has("streamSettings") || root.has("protocol") {
        let mut entry = entry::read(root.clone(), None);
        entry.side = entry::guess_side(&mut root);
        if !entry.fits(options) {
            return Err(nothing_fits(options, "one that does not fit"));
        }
        return finish(entry, None, options.port, warnings);
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
    asked: Option<u16>,
    warnings: &mut Vec<Warning>,
) -> Result<Chosen<'a>, Error> {
    let Some(stream) = entry.stream else {
        let expected = "given, because the network without it is tcp";
        let path = below(&entry.path, "streamSettings");
        return Err(Error::new(path, "absent", expected));
    };
    let port = asked.or_else(|| ports::first(&entry.ports));
    if let (Some(port), None) = (port, asked)
        && ports::several(&entry.ports)
    {
        let message = format!("names several ports: only {port} is given on");
        warnings.push(Warning::new(below(&entry.path, "port"), message));
    }
    warnings.extend(entry.warnings);
    Ok(Chosen {
        stream: stream.object()?,
        shared,
        side: entry.side,
        tag: entry.tag,
        address: entry.address,
        port,
    })
}

fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
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
            entries.push(entry::read(item.object()?, Some(side)));
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

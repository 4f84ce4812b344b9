//! The parameters, and which of them mean nothing here.

use std::borrow::Cow;

use form_urlencoded::parse as parse_query;

use crate::v2ray::error::Warning;

/// Of the proxy or of other transports.
const ELSEWHERE: [&str; 14] = [
    "alterId",
    "authority",
    "encryption",
    "ech",
    "extra",
    "flow",
    "mode",
    "path",
    "pbk",
    "pqv",
    "quicSecurity",
    "serviceName",
    "sid",
    "spx",
];
/// Of TLS, without effect here.
const DEAD: &str = "fp";

/// The parameters, with a memory of which have been asked for.
pub(super) struct Params<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The names that have been found.
    taken: Vec<Cow<'a, str>>,
    /// Whether the query itself has the character that stands for broken text.
    replaced: bool,
}

impl<'a> Params<'a> {
    pub(super) fn new(query: &'a str) -> Self {
        Self {
            pairs: parse_query(query.as_bytes()).collect(),
            taken: Vec::new(),
            replaced: query.contains(char::REPLACEMENT_CHARACTER)
                || query.to_ascii_uppercase().contains("%EF%BF%BD"),
        }
    }

    /// Whether a value was no text, and has been mended.
    pub(super) fn is_broken(&self, value: &str) -> bool {
        value.contains(char::REPLACEMENT_CHARACTER) && !self.replaced
    }

    /// The value of a parameter that is there and not empty; of several the first, as in Go.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let same = |(name, _): &(Cow<'_, str>, Cow<'_, str>)| name.eq_ignore_ascii_case(key);
        let at = self.pairs.iter().position(same)?;
        let (name, value) = self.pairs.remove(at);
        self.taken.push(name);
        (!value.is_empty()).then(|| value.into_owned())
    }

    pub(super) fn finish(self, warnings: &mut Vec<Warning>) {
        for (name, value) in self.pairs {
            let same = |key: &str| key.eq_ignore_ascii_case(&name);
            if value.is_empty() || ELSEWHERE.iter().any(|key| same(key)) {
                continue;
            }
            let why = if self.taken.iter().any(|key| same(key)) {
                "is given twice: only the first has an effect"
            } else if same(DEAD) {
                "has no effect here"
            } else {
                "is not known and has no effect"
            };
            warnings.push(Warning::new(name, why));
        }
    }
}

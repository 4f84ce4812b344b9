//! An object that knows which of its keys have been asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    cursor::{Cursor, cut},
    error::{Error, Warning},
};

/// More unknown keys than these are only counted.
const MOST_UNKNOWN: usize = 100;

/// An object. Keys are found as Go finds them, without regard to case.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    path: String,
    /// By name as [`fold`] has it.
    fields: BTreeMap<String, Field<'a>>,
    /// Whether underscores in keys count for nothing, as in protobuf's JSON.
    protobuf: bool,
}

#[derive(Clone, Debug)]
struct Field<'a> {
    key: &'a str,
    value: &'a Value,
    used: bool,
}

impl<'a> Object<'a> {
    /// Refuses keys that are one and the same to Go, which takes the last of them: here their
    /// order is lost.
    pub(super) fn new(map: &'a Map<String, Value>, path: String) -> Result<Self, Error> {
        let object = Self {
            path,
            fields: BTreeMap::new(),
            protobuf: false,
        };
        let pairs = map.iter().map(|(key, value)| (key.as_str(), value));
        object.with(pairs)
    }

    /// Finds keys as protobuf's JSON has them: `writeBuffer` is `write_buffer` too.
    pub(super) fn protobuf(mut self) -> Result<Self, Error> {
        self.protobuf = true;
        let fields = std::mem::take(&mut self.fields);
        self.with(fields.into_values().map(|field| (field.key, field.value)))
    }

    fn with(mut self, pairs: impl Iterator<Item = (&'a str, &'a Value)>) -> Result<Self, Error> {
        for (key, value) in pairs {
            let name = self.fold(key);
            let used = false;
            if self
                .fields
                .insert(name, Field { key, value, used })
                .is_some()
            {
                let expected = "given once: upper and lower case make no difference";
                return Err(Error::new(self.join(key), "given twice", expected));
            }
        }
        Ok(self)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path that a key has or would have.
    pub(super) fn path_of(&self, key: &str) -> String {
        self.join(self.find(key).map_or(key, |field| field.key))
    }

    /// Whether the key is there and not null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some_and(|field| !field.value.is_null())
    }

    /// The value of a key; null counts as absent.
    pub(super) fn get(&mut self, key: &str) -> Option<Cursor<'a>> {
        self.get_or_null(key).filter(|cursor| !cursor.is_null())
    }

    /// The value of a key, which may be null.
    pub(super) fn get_or_null(&mut self, key: &str) -> Option<Cursor<'a>> {
        let path = self.path_of(key);
        let name = self.fold(key);
        let field = self.fields.get_mut(&name)?;
        field.used = true;
        Some(Cursor::new(field.value, path))
    }

    /// Warns if the key is there and says something, because it does nothing.
    pub(super) fn dead(&mut self, key: &str, why: &str, warnings: &mut Vec<Warning>) {
        if let Some(cursor) = self.get(key)
            && !cursor.says_nothing()
        {
            warnings.push(Warning::new(cursor.path(), format!("has no effect{why}")));
        }
    }

    /// Warns about every key that nobody asked for.
    pub(super) fn finish(self, warnings: &mut Vec<Warning>) {
        let mut unknown = self.fields.values().filter(|field| !field.used);
        for field in unknown.by_ref().take(MOST_UNKNOWN) {
            let path = self.join(field.key);
            warnings.push(Warning::new(path, "is not known and has no effect"));
        }
        let more = unknown.count();
        if more > 0 {
            let message = format!("has {more} more keys that are not known and have no effect");
            warnings.push(Warning::new(self.path, message));
        }
    }

    fn find(&self, key: &str) -> Option<&Field<'a>> {
        self.fields.get(&self.fold(key))
    }

    fn fold(&self, key: &str) -> String {
        let mut name = key.to_ascii_lowercase();
        if self.protobuf {
            name.retain(|c| c != '_');
        }
        name
    }

    /// Long keys are cut, because every value below carries its path.
    fn join(&self, key: &str) -> String {
        let (key, dots) = cut(key);
        match self.path.as_str() {
            "" => format!("{key}{dots}"),
            path => format!("{path}.{key}{dots}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn root(document: &Value) -> Object<'_> {
        Cursor::root(document).object().unwrap()
    }

    #[test]
    fn keys_are_found_in_any_case_and_carry_their_path() {
        let document = json!({"Outer": [{"MTU": 5}]});
        let mut root = Cursor::root(&document).object().unwrap();
        let items = root.get("outer").unwrap().array().unwrap();
        let mut inner = items.first().unwrap().object().unwrap();
        let mtu = inner.get("mtu").unwrap();
        assert_eq!(mtu.path(), "Outer[0].MTU");
        let error = mtu.number_in(10, 20).unwrap_err();
        assert_eq!(error.to_string(), "Outer[0].MTU is 5, must be 10 to 20");
    }

    #[test]
    fn what_nobody_asked_for_is_reported() {
        let document = json!({"a": 1, "b": null, "c": 3});
        let mut root = Cursor::root(&document).object().unwrap();
        assert!(root.get("a").is_some());
        assert!(root.get("b").is_none());
        let mut warnings = Vec::new();
        root.finish(&mut warnings);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].to_string(), "c is not known and has no effect");
    }

    #[test]
    fn protobuf_keys_may_have_underscores() {
        let document = json!({"write_buffer": 1});
        let mut protobuf = root(&document).protobuf().unwrap();
        assert!(protobuf.get("writeBuffer").is_some());
        assert!(root(&document).get("writeBuffer").is_none());
    }

    #[test]
    fn one_key_in_two_spellings_is_refused() {
        let document = json!({"outer": {"a": 1, "A": 2}});
        let error = root(&document).get("outer").unwrap().object().unwrap_err();
        assert_eq!((error.path(), error.value()), ("outer.a", "given twice"));
        let document = json!({"a_b": 1, "aB": 2});
        assert!(root(&document).protobuf().is_err());
    }
}

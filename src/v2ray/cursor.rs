//! A place in a JSON document that knows its path, and an object that knows which of its keys
//! have been asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{Error, Warning};

/// Longer texts are cut in messages.
const SHOWN: usize = 60;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// An error about this value.
    pub(super) fn error(&self, expected: &str) -> Error {
        Error::new(&self.path, describe(self.value), expected)
    }

    /// As [`error`](Self::error), but what stands here may be a secret, and is not shown.
    fn misfit(&self, expected: &str) -> Error {
        Error::new(&self.path, kind(self.value), expected)
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_string()
    }

    pub(super) fn object(&self) -> Result<Object<'a>, Error> {
        let map = self.value.as_object();
        let map = map.ok_or_else(|| self.misfit("an object"))?;
        Ok(Object::new(map, self.path.clone()))
    }

    pub(super) fn array(&self) -> Result<Vec<Self>, Error> {
        let items = self.value.as_array();
        let items = items.ok_or_else(|| self.misfit("an array"))?;
        let item = |(index, value)| Self {
            value,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn string(&self) -> Result<&'a str, Error> {
        self.value.as_str().ok_or_else(|| self.error("a string"))
    }

    /// As [`string`](Self::string), but the error does not show the value.
    pub(super) fn secret(&self) -> Result<&'a str, Error> {
        let text = self.value.as_str();
        text.ok_or_else(|| self.misfit("a string"))
    }

    pub(super) fn bool(&self) -> Result<bool, Error> {
        self.value
            .as_bool()
            .ok_or_else(|| self.error("true or false"))
    }

    pub(super) fn number(&self) -> Result<u64, Error> {
        let number = self.value.as_u64();
        number.ok_or_else(|| self.error("a whole number that is not negative"))
    }

    /// A number within these bounds.
    pub(super) fn number_in(&self, least: u64, most: u64) -> Result<u64, Error> {
        self.value
            .as_u64()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                let number = if self.value.is_number() {
                    ""
                } else {
                    "a number, "
                };
                self.error(&format!("{number}{least} to {most}"))
            })
    }

    /// A number, or a text of digits, as protobuf's JSON has it.
    pub(super) fn number_or_digits(&self) -> Result<u64, Error> {
        match self.value.as_str() {
            Some(text) => text.parse().map_err(|_| self.error("a number")),
            None => self.number(),
        }
    }

    /// An array of texts, or one text with commas, as Go's `StringList`.
    pub(super) fn list(&self) -> Result<Vec<String>, Error> {
        if let Some(text) = self.value.as_str() {
            return Ok(text.split(',').map(|item| item.trim().to_owned()).collect());
        }
        let items = self.array()?;
        items
            .iter()
            .map(|item| Ok(item.string()?.to_owned()))
            .collect()
    }
}

/// An object. Keys are found as Go finds them, without regard to case.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
    /// Keys that nobody has asked for yet.
    unused: BTreeMap<&'a str, &'a Value>,
    /// Whether underscores in keys count for nothing, as in protobuf's JSON.
    protobuf: bool,
}

impl<'a> Object<'a> {
    fn new(map: &'a Map<String, Value>, path: String) -> Self {
        let unused = map
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        Self {
            map,
            path,
            unused,
            protobuf: false,
        }
    }

    /// Finds keys as protobuf's JSON has them: `writeBuffer` is `write_buffer` too.
    pub(super) fn protobuf(mut self) -> Self {
        self.protobuf = true;
        self
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path that a key has or would have.
    pub(super) fn path_of(&self, key: &str) -> String {
        let key = self.find(key).map_or(key, |(key, _)| key);
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// Whether the key is there and not null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some_and(|(_, value)| !value.is_null())
    }

    /// The value of a key; null counts as absent.
    pub(super) fn get(&mut self, key: &str) -> Option<Cursor<'a>> {
        self.get_or_null(key)
            .filter(|cursor| !cursor.value.is_null())
    }

    /// The value of a key, which may be null.
    pub(super) fn get_or_null(&mut self, key: &str) -> Option<Cursor<'a>> {
        let path = self.path_of(key);
        let (key, value) = self.find(key)?;
        self.unused.remove(key);
        Some(Cursor { value, path })
    }

    /// Warns if the key is there, because it does nothing.
    pub(super) fn dead(&mut self, key: &str, why: &str, warnings: &mut Vec<Warning>) {
        if let Some(cursor) = self.get(key) {
            warnings.push(Warning::new(cursor.path, format!("has no effect{why}")));
        }
    }

    /// Warns about every key that nobody asked for.
    pub(super) fn finish(self, warnings: &mut Vec<Warning>) {
        for key in self.unused.keys() {
            let path = match self.path.as_str() {
                "" => (*key).to_owned(),
                path => format!("{path}.{key}"),
            };
            warnings.push(Warning::new(path, "is not known and has no effect"));
        }
    }

    fn find(&self, wanted: &str) -> Option<(&'a str, &'a Value)> {
        let map: &'a Map<String, Value> = self.map;
        if let Some((key, value)) = map.get_key_value(wanted) {
            return Some((key, value));
        }
        let same = |key: &str| {
            if self.protobuf {
                key.replace('_', "").eq_ignore_ascii_case(wanted)
            } else {
                key.eq_ignore_ascii_case(wanted)
            }
        };
        let found = map.iter().find(|(key, _)| same(key));
        found.map(|(key, value)| (key.as_str(), value))
    }
}

/// A value as messages show it.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => kind(value).to_owned(),
    }
}

/// A text as messages show it.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}..", &text[..cut]),
        None => format!("{text:?}"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        let mut root = Cursor::root(&document).object().unwrap().protobuf();
        assert!(root.get("writeBuffer").is_some());
        assert!(
            Cursor::root(&document)
                .object()
                .unwrap()
                .get("writeBuffer")
                .is_none()
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let document = json!(123456);
        let error = Cursor::root(&document).secret().unwrap_err();
        assert!(!error.to_string().contains("123456"), "{error}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(quote("short"), "\"short\"");
        assert!(quote(&"ä".repeat(100)).len() < 2 * SHOWN + 10);
    }
}

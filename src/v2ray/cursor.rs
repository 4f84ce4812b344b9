//! A place in a JSON document that knows its path.

use serde_json::Value;

use super::{error::Error, object::Object};

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

    pub(super) fn new(value: &'a Value, path: String) -> Self {
        Self { value, path }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// This value as messages show it.
    pub(super) fn shown(&self) -> String {
        describe(self.value)
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

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// Null and what is empty, as programs write what is not set.
    pub(super) fn says_nothing(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        }
    }

    pub(super) fn object(&self) -> Result<Object<'a>, Error> {
        let map = self.value.as_object();
        let map = map.ok_or_else(|| self.misfit("an object"))?;
        Object::new(map, self.path.clone())
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
    let (text, dots) = cut(text);
    format!("{text:?}{dots}")
}

/// A text as far as messages show it, and what stands for the rest.
pub(super) fn cut(text: &str) -> (&str, &'static str) {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => (&text[..end], ".."),
        None => (text, ""),
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

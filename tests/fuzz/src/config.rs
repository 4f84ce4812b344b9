//! Configurations of V2Ray, V2Fly and Xray: what can be read and written again reads the same.

use arbitrary::Arbitrary;
use mkcp::v2ray::{self, Dialect, ReadOptions, Reading, StreamSettings};

#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    form: Form,
    /// None of them: it is to be recognised.
    dialect: u8,
    text: &'a str,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Form {
    Document,
    Link,
}

pub fn run(input: Input<'_>) {
    let mut options = ReadOptions::new();
    if let Some(&dialect) = Dialect::ALL.get(usize::from(input.dialect)) {
        options = options.dialect(dialect);
    }
    let read = match input.form {
        Form::Document => v2ray::read,
        Form::Link => v2ray::read_share_params,
    };
    let Ok(reading) = read(input.text, &options) else {
        return;
    };
    let settings = reading.into_settings();
    for &dialect in Dialect::ALL {
        let options = ReadOptions::new().dialect(dialect);
        if let Ok(written) = v2ray::write(&settings, dialect) {
            let again = v2ray::read(&written.to_string(), &options);
            check_same(again, &settings, written.warnings().is_empty());
        }
        if let Ok(written) = v2ray::write_share_params(&settings, dialect) {
            let again = v2ray::read_share_params(written.query(), &options);
            check_same(again, &settings, written.warnings().is_empty());
        }
    }
}

/// What a dialect has no word for is named by a warning, and concerns this side alone.
fn check_same(again: Result<Reading, v2ray::Error>, settings: &StreamSettings, whole: bool) {
    let again = again.expect("what is written can be read").into_settings();
    let (one, other) = (again.config(), settings.config());
    assert_eq!(one.header(), other.header());
    assert_eq!(one.security(), other.security());
    assert_eq!(again.tls(), settings.tls());
    if whole {
        assert_eq!(&again, settings);
    }
}

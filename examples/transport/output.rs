//! The standard output, which may be full or read by nobody.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Prints a text that ends its last line itself.
///
/// # Errors
///
/// That of writing, which says where. `println!` would panic.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))
}

//! The parameters by which share links describe a transport.

mod params;
mod read;
mod write;

pub use read::read_share_params;
pub use write::{WrittenParams, write_share_params};

use super::{Dialect, error::Error};

fn no_such_links(dialect: Dialect) -> Error {
    let expected = "v2ray4 or one of Xray's: links have no other form";
    Error::new("dialect", dialect, expected)
}

//! The runtime of the transports that need one: that which `#[tokio::main]` makes, as in the
//! examples of all three.

use std::io;

pub(super) fn block_on(end: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(end);
    runtime.shutdown_background();
    result
}

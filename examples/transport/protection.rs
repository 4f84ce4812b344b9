//! Which security goes with a seed and which without, the same on all command lines.

use mkcp::{Security, Seed};

/// The security of this name; without a name, what goes with the seed or with none.
pub(crate) fn security(name: Option<&str>, seed: Option<&str>) -> Result<Security, String> {
    match (name, seed) {
        (None | Some("aes-128-gcm"), Some(seed)) => Ok(Security::Aes128Gcm(Seed::new(seed))),
        (None | Some("simple"), None) => Ok(Security::Simple),
        (Some("none"), None) => Ok(Security::None),
        (Some("aes-128-gcm"), None) => {
            Err("security is aes-128-gcm, which needs a seed".to_owned())
        }
        (Some(name @ ("none" | "simple")), Some(_)) => Err(format!(
            "security is {name}, must be aes-128-gcm if there is a seed"
        )),
        (Some(name), _) => Err(format!(
            "security is {name:?}, must be none, simple or aes-128-gcm"
        )),
    }
}

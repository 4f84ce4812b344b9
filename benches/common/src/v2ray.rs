//! Configurations that make a pipe of V2Ray: mKCP at one side, TCP at the other, and no protocol
//! of a proxy within.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// The program.
pub const PROGRAM: &str = "v2ray";

/// What a V2Ray at either side is told.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Pipe<'a> {
    /// Where it takes connections.
    pub listen: SocketAddr,
    /// Where it passes them on to.
    pub target: SocketAddr,
    /// The `kcpSettings`.
    pub settings: &'a Value,
    /// Seconds of silence after which it ends what one of the peers has ended; with 0 at once.
    pub linger: u32,
}

impl Pipe<'_> {
    /// Takes mKCP, and passes on as TCP what it carries.
    pub fn server(&self) -> Value {
        let mut inbound = door(self.listen, self.target);
        inbound["streamSettings"] = self.mkcp();
        self.config(&inbound, &json!({ "protocol": "freedom", "settings": {} }))
    }

    /// Takes TCP, and passes it on over mKCP.
    pub fn client(&self) -> Value {
        let outbound = json!({
            "protocol": "freedom",
            "settings": { "redirect": self.target.to_string() },
            "streamSettings": self.mkcp(),
        });
        self.config(&door(self.listen, self.target), &outbound)
    }

    fn config(&self, inbound: &Value, outbound: &Value) -> Value {
        let (idle, linger) = (300, self.linger);
        let level = json!({ "connIdle": idle, "uplinkOnly": linger, "downlinkOnly": linger });
        json!({
            "log": { "access": "none", "loglevel": "warning" },
            "policy": { "levels": { "0": level } },
            "inbounds": [inbound],
            "outbounds": [outbound],
        })
    }

    fn mkcp(&self) -> Value {
        json!({ "network": "kcp", "kcpSettings": self.settings })
    }
}

/// Takes connections at an address and passes them on.
fn door(listen: SocketAddr, target: SocketAddr) -> Value {
    json!({
        "protocol": "dokodemo-door",
        "listen": listen.ip(), "port": listen.port(),
        "settings": { "address": target.ip(), "port": target.port(), "network": "tcp" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mkcp_is_at_one_side_only() {
        let kcp = json!({ "network": "kcp", "kcpSettings": { "seed": "s" } });
        let pipe = Pipe {
            listen: ([127, 0, 0, 1], 7).into(),
            target: ([10, 0, 0, 2], 8).into(),
            settings: &kcp["kcpSettings"],
            linger: 5,
        };
        let (server, client) = (pipe.server(), pipe.client());
        for config in [&server, &client] {
            let door = &config["inbounds"][0];
            assert_eq!(door["listen"], "127.0.0.1");
            assert_eq!(door["port"], 7);
            assert_eq!(door["settings"]["address"], "10.0.0.2");
            assert_eq!(door["settings"]["port"], 8);
            assert_eq!(config["policy"]["levels"]["0"]["uplinkOnly"], 5);
        }
        assert_eq!(server["inbounds"][0]["streamSettings"], kcp);
        assert_eq!(client["outbounds"][0]["streamSettings"], kcp);
        assert_eq!(client["outbounds"][0]["settings"]["redirect"], "10.0.0.2:8");
        for plain in [&server["outbounds"][0], &client["inbounds"][0]] {
            assert_eq!(plain["streamSettings"], Value::Null);
        }
    }
}

//! A v2ray client behind a NAT of the kernel, which forgets its mapping in the midst of a download.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use mkcp::{Endpoint, Header, Listener};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{
    link::Link,
    network::{UNSHARE, ip, run},
    pattern::pattern,
    payload::{closed_early, expect},
    process::alone,
    support::{PATIENCE, eventually},
    v2ray::V2ray,
};

/// The mapping is forgotten whenever so much more has come.
const PART: usize = 10_000_000;
const TIMES: usize = 3;

static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| pattern((TIMES + 2) * PART, 1));

/// Another network of this machine, until it is dropped.
struct Network(Child);

impl Network {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        // It says when it is there, and lasts until its standard input is closed.
        command.args(["--net", "sh", "-c", "echo; exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let ready = BufReader::new(stdout).read_line(&mut String::new());
        assert_eq!(ready.unwrap(), 1);
        Self(child)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn run(&self, program: &str, arguments: &str) {
        let inside = format!("--net={} {program} {arguments}", self.path());
        run("nsenter", &inside);
    }

    fn set_up(&self, interface: &str, address: &str) {
        self.run("ip", &format!("address add {address} dev {interface}"));
        self.run("ip", &format!("link set {interface} up"));
    }

    /// Does something in a thread that is there: sockets belong to where they were opened.
    fn inside<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.path()).unwrap();
        let enter_and_act = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            action()
        };
        thread::scope(|scope| scope.spawn(enter_and_act).join().unwrap())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Between the network of the test, where the client is, and that of the server, which knows of no
/// way to the client's.
struct Nat {
    router: Network,
    server: Network,
    mappings: AtomicUsize,
}

impl Nat {
    fn new() -> Self {
        let nat = Self {
            router: Network::new(),
            server: Network::new(),
            mappings: AtomicUsize::new(0),
        };
        let [router, server] = [&nat.router, &nat.server];
        let cable = |here, there, network: &Network| {
            let pid = network.0.id();
            format!("link add {here} type veth peer name {there} netns {pid}")
        };
        ip("link set lo up");
        ip(&cable("home", "inside", router));
        router.run("ip", &cable("outside", "away", server));
        ip("address add 10.0.1.2/24 dev home");
        ip("link set home up");
        router.set_up("inside", "10.0.1.1/24");
        router.set_up("outside", "10.0.2.1/24");
        server.set_up("away", "10.0.2.2/24");
        ip("route add default via 10.0.1.1");
        router.inside(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        router.run("nft", "add table ip nat");
        let chain = "{ type nat hook postrouting priority 100 ; }";
        router.run("nft", &format!("add chain ip nat postrouting {chain}"));
        nat.forget();
        nat
    }

    /// What the client sends from now on comes from another port than before, and what is sent to
    /// the port before does not come to it any more.
    fn forget(&self) {
        let first = 40_000 + 100 * self.mappings.fetch_add(1, Ordering::Relaxed);
        let ports = format!("{first}-{}", first + 99);
        let rule = format!("oifname outside meta l4proto udp masquerade to :{ports}");
        // Both at once, so that there is no moment without a rule.
        let change = format!("flush chain ip nat postrouting ; add rule ip nat postrouting {rule}");
        self.router.run("nft", &change);
        self.router.run("conntrack", "--flush");
    }
}

/// A listener whose streams get the payload once they have sent a byte.
fn serve(link: &Link) -> Listener {
    let builder = Endpoint::builder().config(link.config()).migration(true);
    let listener = builder.bind("10.0.2.2:0").unwrap().listen().unwrap();
    let accepting = listener.try_clone().unwrap();
    thread::spawn(move || {
        for mut stream in accepting.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                stream.read_exact(&mut [0; 1])?;
                stream.write_all(&PAYLOAD)?;
                io::copy(&mut &stream, &mut io::sink()) // The peer chooses the end.
            });
        }
    });
    listener
}

/// Reads the payload and compares it, while the NAT forgets again and again.
fn download(tcp: &TcpStream, nat: &Nat, listener: &Listener) -> io::Result<()> {
    let received = AtomicUsize::new(0);
    let migrated = || listener.stats().sessions_migrated;
    tcp.set_read_timeout(Some(PATIENCE))?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            (&*tcp).write_all(b"?")?;
            for part in PAYLOAD.chunks(PART / 100) {
                expect(tcp, part)?;
                received.fetch_add(part.len(), Ordering::Relaxed);
            }
            Ok(())
        });
        for time in 1..=TIMES {
            let (came, before) = (|| received.load(Ordering::Relaxed), migrated());
            eventually("a part has come", PATIENCE, || {
                came() >= time * PART || reader.is_finished()
            });
            nat.forget();
            println!("the mapping was forgotten after {} bytes", came());
            eventually("the session has moved", PATIENCE, || {
                migrated() > before || reader.is_finished()
            });
        }
        reader.join().unwrap()
    })
}

#[test]
#[ignore = "needs a network namespace"]
fn v2ray_goes_on_downloading_after_the_kernels_nat_forgot_its_mapping() {
    let test = "nat::v2ray_goes_on_downloading_after_the_kernels_nat_forgot_its_mapping";
    alone(test, &UNSHARE, || {
        let nat = Nat::new();
        let link = Link::new(Header::Srtp, Some("correct horse"));
        let listener = nat.server.inside(|| serve(&link));
        let (_v2ray, entries) = V2ray::client(&[(link, listener.local_addr().unwrap())]);
        let run = || download(&TcpStream::connect(entries[0])?, &nat, &listener);
        let result = run().or_else(|error| match closed_early(&error) {
            true => run(),
            false => Err(error),
        });
        result.unwrap();
        let migrated = listener.stats().sessions_migrated;
        println!("the session moved {migrated} times");
        assert!(migrated >= TIMES as u64);
    });
}

//! The ssh2 crate and Debian's sshd.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
};

use ssh2::{CheckResult, KnownHostFileKind, Session};
use tempfile::{TempDir, tempdir};

use crate::{
    pattern::pattern,
    process::program,
    tunnel::{Link, Tunnel},
};

const LENGTH: usize = 5_000_000;

pub(crate) fn ssh_runs_commands(link: Link) {
    let sshd = Sshd::start(link);
    let session = sshd.log_in();
    for (command, input, output, status) in [
        ("echo hello", "", "hello\n", 0),
        ("tr a-z A-Z", "shout", "SHOUT", 0),
        ("exit 3", "", "", 3),
    ] {
        let mut channel = session.channel_session().unwrap();
        channel.exec(command).unwrap();
        channel.write_all(input.as_bytes()).unwrap();
        channel.send_eof().unwrap();
        let mut answer = String::new();
        channel.read_to_string(&mut answer).unwrap();
        channel.wait_close().unwrap();
        assert_eq!(
            (&*answer, channel.exit_status().unwrap()),
            (output, status),
            "{command}"
        );
    }
}

pub(crate) fn ssh_copies_a_file_there_and_back(link: Link) {
    let sshd = Sshd::start(link);
    let session = sshd.log_in();
    let path = sshd.folder.path().join("file");
    let sent = pattern(LENGTH, 1);

    let sftp = session.sftp().unwrap();
    sftp.create(&path).unwrap().write_all(&sent).unwrap();
    assert!(fs::read(&path).unwrap() == sent, "sent: the bytes differ");

    let mut received = Vec::new();
    sftp.open(&path)
        .unwrap()
        .read_to_end(&mut received)
        .unwrap();
    assert!(received == sent, "sftp: the bytes differ");

    received.clear();
    let mut channel = session.channel_session().unwrap();
    channel.exec(&format!("cat '{}'", path.display())).unwrap();
    channel.read_to_end(&mut received).unwrap();
    assert!(received == sent, "cat: the bytes differ");
}

/// An sshd for each connection, as inetd would start it: nobody else can be quicker to take a
/// port. In front of it a tunnel.
struct Sshd {
    tunnel: Tunnel,
    folder: TempDir,
}

impl Sshd {
    fn start(link: Link) -> Self {
        let folder = tempdir().unwrap();
        generate_key(&folder.path().join("host"));
        generate_key(&folder.path().join("user"));
        let config = write_config(folder.path());
        // As root, sshd wants this folder, which the system makes when it starts sshd itself.
        let _ = fs::create_dir_all("/run/sshd");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                serve(socket.unwrap(), &config);
            }
        });
        let tunnel = Tunnel::to(&format!("tcp://{address}"), link);
        Self { tunnel, folder }
    }

    fn log_in(&self) -> Session {
        let user = program("id").arg("-un").output().unwrap().stdout;
        let session = self.authenticate(String::from_utf8(user).unwrap().trim());
        session.unwrap_or_else(|error| {
            let log = fs::read_to_string(self.folder.path().join("log"));
            panic!("{error}\nsshd says: {}", log.unwrap_or_default())
        })
    }

    fn authenticate(&self, user: &str) -> Result<Session, ssh2::Error> {
        let mut session = Session::new()?;
        session.set_tcp_stream(TcpStream::connect(self.tunnel.address).unwrap());
        session.handshake()?;
        self.check_host_key(&session)?;
        session.userauth_pubkey_file(user, None, &self.folder.path().join("user"), None)?;
        Ok(session)
    }

    fn check_host_key(&self, session: &Session) -> Result<(), ssh2::Error> {
        let public = fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        let mut known = session.known_hosts()?;
        known.read_str(&format!("sshd {public}"), KnownHostFileKind::OpenSSH)?;
        let (key, _) = session.host_key().expect("a host key");
        assert!(
            matches!(known.check("sshd", key), CheckResult::Match),
            "another sshd"
        );
        Ok(())
    }
}

/// Hands a connection to an sshd of its own.
fn serve(socket: TcpStream, config: &Path) {
    let socket = OwnedFd::from(socket);
    let mut command = program("sshd");
    command.arg("-i").arg("-f").arg(config);
    command.arg("-E").arg(config.with_file_name("log"));
    command.stdin(socket.try_clone().unwrap()).stdout(socket);
    let mut child = command.spawn().unwrap();
    drop(command); // with its handles of the socket
    thread::spawn(move || child.wait());
}

fn generate_key(path: &Path) {
    let mut command = program("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn write_config(folder: &Path) -> PathBuf {
    let lines = [
        format!("HostKey {}", folder.join("host").display()),
        format!("AuthorizedKeysFile {}", folder.join("user.pub").display()),
        "AuthenticationMethods publickey".to_owned(),
        "PermitRootLogin yes".to_owned(),
        "StrictModes no".to_owned(), // the folder is below one that everybody can write to
        "UsePAM no".to_owned(),
        "Subsystem sftp internal-sftp".to_owned(),
    ];
    let path = folder.join("config");
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

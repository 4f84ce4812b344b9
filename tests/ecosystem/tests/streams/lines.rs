//! IMAP, as far as needed: lines and counted bytes, by `BufReader` and `BufWriter`.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    thread,
};

use mkcp_ecosystem::Duplex;

use crate::{pattern::pattern, transport::Transport};

pub fn lines_and_literals_by_hand<T: Transport>() {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| serve(&server).unwrap());
        talk(&client).unwrap();
    });
}

pub fn imap_reads_and_appends_mail<T: Transport>() {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| serve(&server).unwrap());
        let mut client = imap::Client::new(client);
        client.read_greeting().unwrap();
        let mut session = client.login("joe", "se cret").unwrap();
        for mail in [
            &pattern(200_000, 2)[..],
            b"Subject: lunch\r\n\r\nAt one?\r\n",
        ] {
            session.append("inbox", mail).finish().unwrap();
            let number = session.select("inbox").unwrap().exists;
            let fetched = session.fetch(number.to_string(), "BODY[]").unwrap();
            let body = fetched.iter().next().unwrap().body().unwrap();
            assert!(body == mail, "mail {number} differs");
        }
        session.logout().unwrap();
    });
}

fn talk<S: Duplex>(stream: &S) -> io::Result<()> {
    let mut connection = Connection::new(stream.shared(), stream.shared());
    assert_eq!(connection.line()?, "* OK ready");
    connection.send("a1 LOGIN \"joe\" \"se cret\"")?;
    assert_eq!(connection.line()?, "a1 OK done");
    connection.send("a2 DANCE")?;
    assert_eq!(connection.line()?, "a2 BAD unknown");

    // Line ends inside a literal end nothing.
    let mails = [pattern(2_000_000, 1), b"a\r\nb".to_vec(), vec![]];
    for (number, mail) in (1..).zip(&mails) {
        connection.send(&format!("b{number} APPEND \"inbox\" () {{{}}}", mail.len()))?;
        assert_eq!(connection.line()?, "+ go ahead");
        connection.literal(mail, "")?;
        assert_eq!(connection.line()?, format!("b{number} OK done"));
    }
    for (number, mail) in (1..).zip(&mails) {
        connection.send(&format!("c{number} FETCH {number} BODY[]"))?;
        assert_eq!(
            connection.line()?,
            format!("* {number} FETCH (BODY[] {{{}}}", mail.len())
        );
        assert!(
            connection.take_literal(mail.len(), ")")? == *mail,
            "mail {number} differs"
        );
        assert_eq!(connection.line()?, format!("c{number} OK done"));
    }

    // Many commands before the first answer.
    for number in 0..2_000 {
        writeln!(connection.writer, "d{number} NOOP\r")?;
    }
    connection.send("e1 LOGOUT")?;
    for number in 0..2_000 {
        assert_eq!(connection.line()?, format!("d{number} OK done"));
    }
    assert_eq!(connection.line()?, "* BYE done");
    assert_eq!(connection.line()?, "e1 OK done");
    Ok(())
}

fn serve<S: Duplex>(stream: &S) -> io::Result<()> {
    let mut connection = Connection::new(stream.shared(), stream.shared());
    let mut mails: Vec<Vec<u8>> = Vec::new();
    connection.send("* OK ready")?;
    loop {
        let line = connection.line()?;
        let (tag, command) = line.split_once(' ').expect("a tag");
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["NOOP"] | ["LOGIN", ..] => connection.send(&format!("{tag} OK done"))?,
            ["APPEND", _, "()", length] => {
                let length = length.trim_matches(['{', '}']).parse().expect("a length");
                connection.send("+ go ahead")?;
                mails.push(connection.take_literal(length, "")?);
                connection.send(&format!("{tag} OK done"))?;
            }
            ["FETCH", number, "BODY[]"] => {
                let index = number.parse::<usize>().expect("a number") - 1;
                let mail = &mails[index];
                connection.send(&format!("* {number} FETCH (BODY[] {{{}}}", mail.len()))?;
                connection.literal(mail, ")")?;
                connection.send(&format!("{tag} OK done"))?;
            }
            ["SELECT", _] => {
                connection.send(&format!("* {} EXISTS", mails.len()))?;
                connection.send(&format!("{tag} OK done"))?;
            }
            ["LOGOUT"] => {
                connection.send("* BYE done")?;
                return connection.send(&format!("{tag} OK done"));
            }
            _ => connection.send(&format!("{tag} BAD unknown"))?,
        }
    }
}

struct Connection<R: Read, W: Write> {
    reader: BufReader<R>,
    writer: BufWriter<W>,
}

impl<R: Read, W: Write> Connection<R, W> {
    fn new(reader: R, writer: W) -> Self {
        let (reader, writer) = (BufReader::new(reader), BufWriter::new(writer));
        Self { reader, writer }
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        write!(self.writer, "{line}\r\n")?;
        self.writer.flush()
    }

    /// Sends counted bytes and what follows them on their line.
    fn literal(&mut self, bytes: &[u8], rest: &str) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.send(rest)
    }

    /// The next line, without its end.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn take_literal(&mut self, length: usize, rest: &str) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        assert_eq!(self.line()?, rest);
        Ok(bytes)
    }
}

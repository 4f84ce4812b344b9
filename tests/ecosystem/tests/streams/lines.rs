//! A protocol of lines and counted bytes in the manner of IMAP, by `BufReader` and `BufWriter`.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    thread,
};

use mkcp_ecosystem::{Duplex, pattern};

use crate::transport::Transport;

pub fn imap_like_lines_and_literals<T: Transport>() {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| serve(&server).unwrap());
        talk(&client).unwrap();
    });
}

fn talk<S: Duplex>(stream: &S) -> io::Result<()> {
    let mut connection = Connection::new(stream.shared(), stream.shared());
    assert_eq!(connection.line()?, "* OK ready");
    connection.send("a1 LOGIN joe \"se cret\"")?;
    assert_eq!(connection.line()?, "a1 OK");
    connection.send("a2 DANCE")?;
    assert_eq!(connection.line()?, "a2 BAD unknown");

    // Line ends inside a literal end nothing.
    let mails = [pattern(2_000_000, 1), b"a\r\nb".to_vec(), vec![]];
    for (number, mail) in (1..).zip(&mails) {
        connection.send(&format!("b{number} APPEND inbox {{{}}}", mail.len()))?;
        assert_eq!(connection.line()?, "+ go ahead");
        connection.literal(mail)?;
        assert_eq!(connection.line()?, format!("b{number} OK {number}"));
    }
    for (number, mail) in (1..).zip(&mails) {
        connection.send(&format!("c{number} FETCH {number}"))?;
        assert_eq!(
            connection.line()?,
            format!("* {number} FETCH {{{}}}", mail.len())
        );
        assert!(
            connection.take_literal(mail.len())? == *mail,
            "mail {number} differs"
        );
        assert_eq!(connection.line()?, format!("c{number} OK"));
    }

    // Many commands before the first answer.
    for number in 0..2_000 {
        writeln!(connection.writer, "d{number} NOOP\r")?;
    }
    connection.send("e1 LOGOUT")?;
    for number in 0..2_000 {
        assert_eq!(connection.line()?, format!("d{number} OK"));
    }
    assert_eq!(connection.line()?, "* BYE");
    assert_eq!(connection.line()?, "e1 OK");
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
            ["NOOP"] | ["LOGIN", ..] => connection.send(&format!("{tag} OK"))?,
            ["APPEND", _, length] => {
                let length = length.trim_matches(['{', '}']).parse().expect("a length");
                connection.send("+ go ahead")?;
                mails.push(connection.take_literal(length)?);
                connection.send(&format!("{tag} OK {}", mails.len()))?;
            }
            ["FETCH", number] => {
                let index = number.parse::<usize>().expect("a number") - 1;
                let mail = &mails[index];
                connection.send(&format!("* {number} FETCH {{{}}}", mail.len()))?;
                connection.literal(mail)?;
                connection.send(&format!("{tag} OK"))?;
            }
            ["LOGOUT"] => {
                connection.send("* BYE")?;
                return connection.send(&format!("{tag} OK"));
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

    fn literal(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.send("")
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

    fn take_literal(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        assert_eq!(self.line()?, "");
        Ok(bytes)
    }
}

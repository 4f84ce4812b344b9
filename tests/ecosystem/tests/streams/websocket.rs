//! WebSocket, server and client, by tungstenite.

use std::{iter, thread};

use mkcp_ecosystem::Duplex;
use tungstenite::{
    Bytes, Error, Message, WebSocket,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{pattern::pattern, transport::Transport};

const MIB: usize = 1024 * 1024;
/// Around the places where the length takes another form in a frame, and much.
const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000, MIB];

pub fn tungstenite_echoes_texts_and_binaries<T: Transport>() {
    with_echo::<T>(|socket| {
        for length in LENGTHS {
            let text: String = iter::repeat_n("mKCP ü ", length)
                .collect::<String>()
                .chars()
                .take(length)
                .collect();
            let messages = [
                Message::text(text),
                Message::binary(pattern(length, length as u64)),
            ];
            for message in messages {
                socket.send(message.clone()).unwrap();
                assert!(
                    socket.read().unwrap() == message,
                    "{length} came back changed"
                );
            }
        }
    });
}

pub fn tungstenite_answers_pings<T: Transport>() {
    with_echo::<T>(|socket| {
        for payload in [&b""[..], b"are you there?", &[7; 125]] {
            let payload = Bytes::copy_from_slice(payload);
            socket.send(Message::Ping(payload.clone())).unwrap();
            assert_eq!(socket.read().unwrap(), Message::Pong(payload));
        }
    });
}

pub fn tungstenite_closes_with_code_and_reason<T: Transport>() {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut socket = tungstenite::accept(server).unwrap();
            let message = socket.read().unwrap();
            // The answer leaves with the next call, which finds the end.
            assert_eq!(ending(&mut socket), Ok(()));
            message
        });
        let (mut socket, _) = tungstenite::client("ws://localhost/", client).unwrap();
        let frame = CloseFrame {
            code: CloseCode::Away,
            reason: "lunch".into(),
        };
        socket.close(Some(frame.clone())).unwrap();
        let answer = socket.read().unwrap();
        assert_eq!(answer, Message::Close(Some(frame.clone())));
        assert_eq!(ending(&mut socket), Ok(()));
        assert_eq!(server.join().unwrap(), Message::Close(Some(frame)));
    });
}

/// Runs a client whose server sends back every text and binary, and closes it.
fn with_echo<T: Transport>(client_does: impl FnOnce(&mut WebSocket<T::Stream>)) {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| echo(server));
        let uri = "ws://localhost/echo";
        let (mut socket, response) = tungstenite::client(uri, client).unwrap();
        assert_eq!(response.status(), 101);
        client_does(&mut socket);
        socket.close(None).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Close(None));
        assert_eq!(ending(&mut socket), Ok(()));
    });
}

fn echo<S: Duplex>(stream: S) {
    let mut socket = tungstenite::accept(stream).unwrap();
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).unwrap(),
            Ok(_) => {} // tungstenite has an answer ready
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What is left to read after both ends have said that they close.
fn ending<S: Duplex>(socket: &mut WebSocket<S>) -> Result<(), String> {
    match socket.read() {
        Err(Error::ConnectionClosed) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

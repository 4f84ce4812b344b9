//! Every way in which a stream ends.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use mkcp::tls::TlsError;

use crate::support::{SHORT, established_pair, pair, tls_error, within_deadline};

#[test]
fn one_direction_ends_while_the_other_goes_on() {
    within_deadline(|| {
        let (client, server) = established_pair();
        (&client).write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut question = Vec::new();
        (&server).read_to_end(&mut question).unwrap();
        assert_eq!(question, b"question");

        let answer = vec![9; 10_000_000];
        let writing = server.try_clone().unwrap();
        let writer = thread::spawn(move || {
            (&writing).write_all(&answer).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        (&client).read_to_end(&mut got).unwrap();
        writer.join().unwrap();
        assert!(got.len() == 10_000_000 && got.iter().all(|&byte| byte == 9));
        assert_eq!((&client).read(&mut [0; 1]).unwrap(), 0, "and stays ended");
        let error = (&client).write(b"more").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_session_is_over_once_both_have_ended() {
    within_deadline(|| {
        let listener = crate::support::listener();
        let client = crate::support::connect(&listener);
        let (server, _) = listener.accept().unwrap();
        let other = thread::spawn(move || {
            assert_eq!((&server).read(&mut [0; 1]).unwrap(), 0);
            server.shutdown(Shutdown::Write).unwrap();
            server // not dropped: close_notify is all that it says
        });
        client.handshake().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&client).read(&mut [0; 1]).unwrap(), 0);
        let _server = other.join().unwrap();
        let started = Instant::now();
        while listener.get_ref().active_connections() > 0 {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "the session stays"
            );
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_stream_cut_without_close_notify_is_an_error_after_its_bytes() {
    within_deadline(|| {
        let (client, server) = established_pair();
        (&client).write_all(b"half of").unwrap();
        client.get_ref().shutdown(Shutdown::Both).unwrap();
        let mut got = Vec::new();
        let error = (&server).read_to_end(&mut got).unwrap_err();
        assert_eq!(got, b"half of");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(tls_error(&error), Some(&TlsError::Truncated));
    });
}

#[test]
fn a_reset_is_an_error() {
    within_deadline(|| {
        let (client, server) = established_pair();
        client.get_ref().reset();
        let error = (&server).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn dropping_the_last_clone_ends_the_stream_in_order() {
    within_deadline(|| {
        let (client, server) = established_pair();
        let clone = client.try_clone().unwrap();
        (&client).write_all(b"the last words").unwrap();
        drop(client);
        let mut words = [0; 14];
        (&server).read_exact(&mut words).unwrap();
        server.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(
            (&server).read(&mut words).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        drop(clone);
        server.get_ref().set_read_timeout(None).unwrap();
        assert_eq!((&server).read(&mut words).unwrap(), 0);
    });
}

#[test]
fn close_waits_until_the_peer_has_everything() {
    within_deadline(|| {
        let (client, server) = pair();
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            (&server).read_to_end(&mut got).map(|_| got)
        });
        (&client).write_all(&vec![3; 3_000_000]).unwrap();
        client.close().unwrap();
        assert_eq!(reader.join().unwrap().unwrap().len(), 3_000_000);
    });
}

#[test]
fn shutdown_wakes_blocked_calls() {
    within_deadline(|| {
        for how in [Shutdown::Read, Shutdown::Both] {
            let (client, _server) = established_pair();
            let reading = client.try_clone().unwrap();
            let reader = thread::spawn(move || (&reading).read(&mut [0; 1]));
            thread::sleep(SHORT);
            client.shutdown(how).unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 0, "{how:?}");
        }
        let (client, _server) = pair();
        let reading = client.try_clone().unwrap();
        let reader = thread::spawn(move || (&reading).read(&mut [0; 1]));
        thread::sleep(SHORT);
        client.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 0, "during the handshake");
    });
}

#[test]
fn a_shutdown_before_the_handshake_is_told_after_it() {
    within_deadline(|| {
        let (client, server) = pair();
        client.shutdown(Shutdown::Write).unwrap();
        let reader = thread::spawn(move || (&server).read(&mut [0; 1]));
        client.handshake().unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 0);
    });
}

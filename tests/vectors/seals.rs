//! The two kinds of security by themselves.

use mkcp::internal::packet::{
    aead::{Aes128Gcm, NONCE_LEN, TAG_LEN, derive_key},
    simple,
};

use super::{bytes, each, load, text};

#[test]
fn simple_security_seals_byte_for_byte() {
    for case in each(&load("simple_auth.json"), "seal") {
        let mut body = vec![0; simple::OVERHEAD];
        body.extend(bytes(case, "plain"));
        simple::seal(&mut body).unwrap();
        assert_eq!(body, bytes(case, "sealed"), "{case}");
    }
}

#[test]
fn simple_security_opens_and_rejects_alike() {
    for case in each(&load("simple_auth.json"), "open") {
        let mut input = bytes(case, "input");
        let opened = simple::open(&mut input).map(<[u8]>::to_vec);
        let expected = (text(case, "result") == "ok").then(|| bytes(case, "plain"));
        assert_eq!(opened, expected, "{case}");
    }
}

#[test]
fn aes_128_gcm_seals_and_opens_byte_for_byte() {
    for case in each(&load("aes128gcm.json"), "seal") {
        let seed = bytes(case, "seed_utf8");
        assert_eq!(seed, text(case, "seed").as_bytes(), "{case}");
        assert_eq!(derive_key(&seed)[..], bytes(case, "key"), "{case}");

        let key = Aes128Gcm::new(&seed);
        let nonce = bytes(case, "nonce");
        let mut body = vec![0; NONCE_LEN];
        body.extend(bytes(case, "plain"));
        body.extend([0; TAG_LEN]);
        key.seal(nonce[..].try_into().unwrap(), &mut body).unwrap();
        assert_eq!(body, [nonce, bytes(case, "sealed")].concat(), "{case}");
        assert_eq!(
            key.open(&mut body),
            Some(&bytes(case, "plain")[..]),
            "{case}"
        );
    }
}

#[test]
fn aes_128_gcm_rejects_what_is_not_authentic() {
    for case in each(&load("aes128gcm.json"), "open_reject") {
        let mut body = [bytes(case, "nonce"), bytes(case, "sealed")].concat();
        let key = Aes128Gcm::new(&bytes(case, "seed_utf8"));
        assert_eq!(key.open(&mut body), None, "{case}");
    }
}

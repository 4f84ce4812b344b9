//! What fuzzing has found, run again without a fuzzer: each file of `tests/fuzz/corpus` through its
//! target. `tests/fuzz/README.md` says how to fuzz.
// A test target is no library: nothing in it can be reached from outside.
#![allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs
)]

#[path = "fuzz/src/lib.rs"]
mod targets;

use std::{fs, path::Path};

use arbitrary::{Arbitrary, Unstructured};
use targets::{adversary, config, connection_ops, headers, open, segments};

/// Runs a target over its corpus, each file read as the fuzzer reads it.
macro_rules! replay {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            let folder = Path::new("tests/fuzz/corpus").join(stringify!($target));
            let mut count = 0;
            for file in fs::read_dir(&folder).unwrap() {
                let path = file.unwrap().path();
                println!("{}", path.display());
                let bytes = fs::read(&path).unwrap();
                if let Ok(input) = Arbitrary::arbitrary_take_rest(Unstructured::new(&bytes)) {
                    $target::run(input);
                    count += 1;
                }
            }
            assert!(count > 10, "only {count} inputs in {}", folder.display());
        }
    )*};
}

replay!(segments open headers config connection_ops adversary);

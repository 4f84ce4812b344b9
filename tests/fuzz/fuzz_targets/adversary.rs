#![no_main]

use mkcp_fuzz::adversary::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input| run(input));

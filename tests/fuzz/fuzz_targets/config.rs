#![no_main]

use mkcp_fuzz::config::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| run(input));

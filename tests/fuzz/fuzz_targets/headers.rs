#![no_main]

use mkcp_fuzz::headers::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input<'_>| run(input));

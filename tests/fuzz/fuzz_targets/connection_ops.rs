#![no_main]

use mkcp_fuzz::connection_ops::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input| run(input));

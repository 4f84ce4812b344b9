//! Programs that insist on a socket of the system, over mKCP all the same: a pair of the example
//! `forward` in between.

// A case is a plain function that panics; only its callers carry `#[test]`.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

#[path = "../../../common/deadline.rs"]
mod deadline;
#[path = "../../../common/example.rs"]
mod example;
#[path = "../../../common/pattern.rs"]
mod pattern;
mod process;
mod redis;
mod ssh;
mod tunnel;

use mkcp_ecosystem::DEADLINE;

macro_rules! suite {
    ($($module:ident: $($case:ident)+;)+) => {
        mod plain {
            $($(
                #[test]
                fn $case() {
                    crate::deadline::within(crate::DEADLINE, || {
                        crate::$module::$case(crate::tunnel::Link::Plain);
                    });
                }
            )+)+
        }

        mod tls {
            $($(
                #[test]
                fn $case() {
                    crate::deadline::within(crate::DEADLINE, || {
                        crate::$module::$case(crate::tunnel::Link::Tls);
                    });
                }
            )+)+
        }
    };
}

suite! {
    redis:
        redis_keeps_small_and_large_values
        redis_takes_ten_thousand_commands_at_once
        redis_publishes_to_a_subscriber
        redis_serves_many_connections;
    ssh:
        ssh_runs_commands
        ssh_copies_a_file_there_and_back;
}

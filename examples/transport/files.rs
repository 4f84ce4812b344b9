//! How many files, and so sockets, this process may have open.

/// Raises the limit of open files, to what the system lets this process have.
#[cfg(unix)]
pub(crate) fn allow_many() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        log::debug!("the limit of open files stays: {error}");
    }
}

/// Raises the limit of open files: there is none on this system.
#[cfg(not(unix))]
pub(crate) fn allow_many() {}

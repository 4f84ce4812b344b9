//! A case: datagrams in their order, and what each server is to make of them.

use super::{datagram::Datagram, outcome::Outcome};

#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) script: Vec<Step>,
    pub(super) v2ray: Outcome,
    pub(super) ours: Outcome,
    /// Why we differ, if we do.
    pub(super) reason: Option<&'static str>,
}

#[derive(Debug)]
pub(super) enum Step {
    Send(Datagram),
    /// Sends the last datagram once more, byte for byte, through this socket.
    Copy(usize),
    /// Waits until a session has given these bytes.
    Delivered(&'static str),
    /// Waits until this number is acknowledged.
    Acknowledged(u32),
    /// Waits until a session has come to its end.
    Ended,
    /// Sends from now on, again and again, until all is as expected: v2ray forgets a session at a
    /// moment that cannot be seen.
    Insist(Datagram),
}

pub(super) fn case(name: &'static str) -> Case {
    Case {
        name,
        script: Vec::new(),
        v2ray: Outcome::default(),
        ours: Outcome::default(),
        reason: None,
    }
}

impl Case {
    pub(super) fn send(self, datagram: Datagram) -> Self {
        self.step(Step::Send(datagram))
    }

    pub(super) fn step(mut self, step: Step) -> Self {
        self.script.push(step);
        self
    }

    /// Both servers do the same.
    pub(super) fn both(self, outcome: Outcome) -> Self {
        Self {
            v2ray: outcome.clone(),
            ours: outcome,
            ..self
        }
    }

    /// We differ on purpose.
    pub(super) fn differ(self, reason: &'static str, v2ray: Outcome, ours: Outcome) -> Self {
        assert!(!ours.fits(&v2ray), "{}: no difference", self.name);
        Self {
            v2ray,
            ours,
            reason: Some(reason),
            ..self
        }
    }
}

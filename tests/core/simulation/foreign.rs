//! Servers that answer with media outside, in one message of a call or another: what the trunk and they must have got by its end.

use std::net::SocketAddr;

use super::{Event, Plan, T1, World};
use crate::site::{Sent, TRUNK, respond, sdp, with_sdp};

/// Outside for everybody in these worlds.
const OUTSIDE: &str = "192.0.2.99";
const INSIDE: &str = "10.1.0.20";

/// Where the media outside comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// In a 183, and the answer is inside.
    Ringing,
    /// In a reliable 183; nothing else comes but what CANCEL asks for.
    Reliable,
    /// In the 200.
    Answer,
    /// In the 200 to a re-INVITE.
    Again,
}

impl Foreign {
    pub(super) const ALL: [Self; 4] = [Self::Ringing, Self::Reliable, Self::Answer, Self::Again];

    /// The final answers that the trunk may see.
    pub(super) fn allowed(self) -> &'static [u16] {
        match self {
            Self::Ringing => &[200],
            Self::Reliable | Self::Answer => &[603],
            Self::Again => &[200, 488],
        }
    }
}

/// Whether a message names the address outside where media would go to.
pub(super) fn is_named(sent: &Sent) -> bool {
    sent.text().contains(&format!("c=IN IP4 {OUTSIDE}"))
}

impl World {
    /// What a server says to an INVITE of such a call, with a session description where one belongs.
    pub(super) fn foreign(&mut self, seen: &Sent, how: Foreign, code: u16) -> Vec<u8> {
        let contact = format!("Contact: <sip:lk@{}>\r\n", seen.to);
        // Each server's own: a leg is known by it.
        let tag = format!("u{}", seen.to.ip());
        let text = match (code, how) {
            (180, Foreign::Ringing) => with_sdp(&respond(seen, 183, &tag, &contact), OUTSIDE),
            (180, Foreign::Reliable) => {
                let text = with_sdp(&respond(seen, 183, &tag, &(contact + "Require: 100rel\r\nRSeq: 1\r\n")), OUTSIDE);
                // Until PRACK, which nobody can send (RFC 3262 3).
                self.at(T1, Event::RepeatAnswer("reliable".to_owned(), seen.to, text.clone().into_bytes(), T1));
                text
            }
            (200, Foreign::Answer) => {
                self.owed.insert((super::call(seen), seen.to));
                with_sdp(&respond(seen, code, &tag, &contact), OUTSIDE)
            }
            (200, _) => with_sdp(&respond(seen, code, &tag, &contact), INSIDE),
            _ => respond(seen, code, &tag, ""),
        };
        text.into_bytes()
    }

    /// A re-INVITE has come to a server: it takes it, outside.
    pub(super) fn taken(&mut self, seen: &Sent) {
        let id = super::call(seen);
        assert_eq!(self.plans[&id], Plan::ForeignAnswer(Foreign::Again));
        assert!(seen.text().ends_with(&sdp(INSIDE)));
        let text = with_sdp(&respond(seen, 200, "u", &format!("Contact: <sip:lk@{}>\r\n", seen.to)), OUTSIDE);
        if self.owed.insert((id, seen.to)) {
            self.owed.insert((id, TRUNK.parse().unwrap()));
            self.at(0, Event::RepeatAnswer(super::key(seen), seen.to, text.into_bytes(), T1));
        }
    }

    /// Every leg whose other side was refused has had its BYE.
    pub(super) fn hung_up(&self, id: u64) {
        let gone = |server: &SocketAddr| self.dead.as_ref().is_some_and(|(dead, _)| dead == server);
        let legs: Vec<_> = self.owed.iter().filter(|(of, _)| *of == id).collect();
        // A server that is away for a while may miss all of it.
        if legs.iter().any(|(_, server)| gone(server)) {
            return;
        }
        for leg in legs {
            assert!(self.ended.contains(leg), "call {id}, {:?}: {} was never hung up", self.plans[&id], leg.1);
        }
    }
    /// How many answers outside there were, and to how many of them came an ACK. The network may lose each: then the BYE ends the leg.
    pub(super) fn acknowledged(&self) -> (usize, usize) {
        let servers = self.owed.iter().filter(|(_, addr)| *addr != TRUNK.parse().unwrap());
        let number = |id| if self.plans[id] == Plan::ForeignAnswer(Foreign::Again) { 2 } else { 1 };
        let keys: Vec<_> = servers.map(|(id, server)| format!("{id} {server} {}", number(id))).collect();
        (keys.len(), keys.iter().filter(|key| self.acknowledged.contains(*key)).count())
    }
}

//! Questions to media relays, and their answers. All run on the message thread, and none of it blocks.
//!
//! Nothing here says what happens to a message: the core keeps it and decides. A relay's socket is connected, so that it takes no
//! datagrams from others. It is connected only to an address that the fence has passed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use super::ng;
use crate::core::Change;
use crate::core::io::{RelayBody, RelayReply, RelayRequest, RelayVerb, Unanswered};
use crate::fence::Fenced;

/// The time after each sending of a question. Then it is sent again; after the last time it counts as unanswered: 800 ms in all.
const SENDINGS: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];
/// Most questions under way that no message waits for. Further ones are not asked. (The core bounds those that messages wait
/// for.)
const UNWAITED: usize = 1024;
/// The largest datagram.
const DATAGRAM: usize = 65_535;

/// The sockets to relays, and the questions under way.
#[derive(Debug, Default)]
pub(in crate::net) struct NgClient {
    links: HashMap<SocketAddr, Link>,
    unwaited: Rc<()>,
}

impl NgClient {
    /// Takes in another configuration. A relay that is no longer named keeps its socket while an answer is expected, until the
    /// next reload. One that is outside now is asked nothing more, and nothing that it was asked is repeated.
    pub(in crate::net) fn reconfigure(&mut self, change: &Change) {
        let known = |relay: &SocketAddr| change.config().regions.iter().any(|region| region.relays.contains(relay));
        let inside = |relay: &SocketAddr| change.config().regions.iter().any(|region| region.networks.contains(relay.ip()));
        self.links.retain(|relay, link| {
            if !inside(relay) {
                link.shared.give_up();
            }
            known(relay) || !link.shared.open.borrow().is_empty()
        });
    }

    /// Asks a question. The future ends with the answer, or says that there is none. `None`: it is not asked, and nothing waits for
    /// an answer.
    pub(in crate::net) fn ask(
        &mut self,
        request: &RelayRequest,
    ) -> Option<impl Future<Output = Result<RelayReply, Unanswered>> + 'static> {
        let unwaited = (request.id.verb == RelayVerb::Delete).then(|| Rc::clone(&self.unwaited));
        if unwaited.is_some() && Rc::strong_count(&self.unwaited) > UNWAITED {
            return None;
        }
        let asking = self.link(request.relay).ok().map(|link| link.ask(request));
        Some(async move {
            let reply = match asking {
                Some(asking) => asking.await,
                None => Err(Unanswered::Unreachable),
            };
            drop(unwaited);
            reply
        })
    }

    fn link(&mut self, relay: Fenced) -> io::Result<&Link> {
        match self.links.entry(relay.addr()) {
            std::collections::hash_map::Entry::Occupied(link) => Ok(link.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => Ok(place.insert(Link::open(relay)?)),
        }
    }
}

/// The socket of one relay.
#[derive(Debug)]
struct Link {
    shared: Rc<Shared>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    open: RefCell<HashMap<u128, OpenQuestion>>,
}

/// A question that is not answered yet.
#[derive(Debug)]
struct OpenQuestion {
    answer: oneshot::Sender<Result<RelayReply, Unanswered>>,
    /// The call that it ends.
    ends: Option<Vec<u8>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Link {
    fn open(relay: Fenced) -> io::Result<Self> {
        let any: SocketAddr = match relay.addr() {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(relay.addr())?;
        socket.set_nonblocking(true)?;
        let shared = Rc::new(Shared { socket: UdpSocket::from_std(socket)?, open: RefCell::default() });
        let reader = spawn_local(read(Rc::clone(&shared)));
        Ok(Self { shared, reader })
    }

    /// Sends a question again and again until an answer comes.
    fn ask(&self, request: &RelayRequest) -> impl Future<Output = Result<RelayReply, Unanswered>> + 'static {
        let (shared, cookie, question) = (Rc::clone(&self.shared), request.id.cookie, ng::question(request));
        let (answer, answered) = oneshot::channel();
        let mut open = shared.open.borrow_mut();
        let ends = match &request.body {
            RelayBody::Delete { call_id } => Some(call_id.clone()),
            RelayBody::Session { call_id, .. } => {
                // It begins anew: what ended it is not repeated any more.
                open.retain(|_, open| open.ends.as_ref() != Some(call_id));
                None
            }
            RelayBody::Ping => None,
        };
        open.insert(cookie, OpenQuestion { answer, ends });
        drop(open);
        async move {
            let reply = shared.repeat(&question, answered).await;
            shared.open.borrow_mut().remove(&cookie);
            reply
        }
    }
}

impl Shared {
    /// Answers every open question: the relay is not there.
    fn give_up(&self) {
        for (_, open) in self.open.borrow_mut().drain() {
            // Nobody may wait any more.
            let _ = open.answer.send(Err(Unanswered::Unreachable));
        }
    }

    async fn repeat(
        &self,
        question: &[u8],
        mut answered: oneshot::Receiver<Result<RelayReply, Unanswered>>,
    ) -> Result<RelayReply, Unanswered> {
        for wait in SENDINGS {
            // An error may be that of an earlier datagram; what is lost is sent again.
            if self.socket.send(question).await.is_err() && self.socket.send(question).await.is_err() {
                return Err(Unanswered::Unreachable);
            }
            match timeout(wait, &mut answered).await {
                Ok(Ok(reply)) => return reply,
                Ok(Err(_)) => return Err(Unanswered::Unasked),
                Err(_) => {}
            }
        }
        Err(Unanswered::Silent)
    }
}

/// Reads answers for ever.
async fn read(shared: Rc<Shared>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        if let Ok(length) = shared.socket.recv(&mut buffer).await {
            let answer = buffer.get(..length).and_then(ng::answer);
            let open = answer.and_then(|(cookie, reply)| Some((shared.open.borrow_mut().remove(&cookie)?, reply)));
            if let Some((open, reply)) = open {
                // Nobody may wait any more.
                let _ = open.answer.send(Ok(reply));
            }
        } else {
            // ICMP: the relay is not there. It has heard none of the questions.
            shared.give_up();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};
    use crate::fence::Fence;

    fn config(relay: &str) -> Config {
        let text = format!(
            "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.1.1:5060\"]\n\
             networks = [\"127.0.1.0/24\"]\nupstream = \"127.0.1.2\"\nrelay = [\"udp:{relay}\"]\n"
        );
        parse("ringfence.toml".as_ref(), &text).unwrap()
    }

    #[tokio::test]
    async fn a_relay_that_is_configured_no_more_keeps_no_socket() {
        let first = config("127.0.1.3:2223");
        let next = std::sync::Arc::new(config("127.0.1.4:2223"));
        let relay = |config: &Config| Fence::of_region(&config.regions[0].networks).admit(config.regions[0].relays[0]).unwrap();
        let change = Change::between(&first, std::sync::Arc::clone(&next), [0; 16]);
        let local = tokio::task::LocalSet::new();
        let asked = |rtpengine: &NgClient| rtpengine.links.keys().copied().collect::<Vec<_>>();
        let test = async {
            let mut rtpengine = NgClient::default();
            rtpengine.link(relay(&first)).unwrap();
            rtpengine.link(relay(&next)).unwrap();
            let open = OpenQuestion { answer: oneshot::channel().0, ends: None };
            rtpengine.links[&relay(&first).addr()].shared.open.borrow_mut().insert(7, open);
            rtpengine.reconfigure(&change);
            assert_eq!(rtpengine.links.len(), 2, "somebody waits for it");
            rtpengine.links[&relay(&first).addr()].shared.open.borrow_mut().clear();
            rtpengine.reconfigure(&change);
            assert_eq!(asked(&rtpengine), [relay(&next).addr()]);
        };
        local.run_until(test).await;
    }
}

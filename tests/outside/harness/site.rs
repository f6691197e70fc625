//! Addresses that no other test has: a slice of 127.0.0.0/8 with two regions, a carrier and a stranger in it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

/// A claimed slice `127.N.0.0/16`, and a directory. Both are given back when it is dropped.
pub(crate) struct Site {
    octet: u8,
    /// The SIP port that everybody on this site uses.
    pub(crate) port: u16,
    directory: PathBuf,
    _claim: UdpSocket,
}

static NEXT: AtomicU8 = AtomicU8::new(0);

impl Site {
    /// Claims a slice; other processes that run the same tests keep away from it.
    pub(crate) fn claim() -> Self {
        let start = u8::try_from(std::process::id() % 199).unwrap();
        for _ in 0..200 {
            let octet = 40 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 200;
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::new(127, octet, 255, 254), 5059)) else { continue };
            let server = Ipv4Addr::new(127, octet, 1, 1);
            // Somebody may hold the usual port on every address.
            let free = |port: &u16| UdpSocket::bind((server, *port)).is_ok() && TcpListener::bind((server, *port)).is_ok();
            let port = [5060, 15060, 25060].into_iter().find(free).expect("a free SIP port");
            let directory = std::env::temp_dir().join(format!("ringfence-{}-{octet}", std::process::id()));
            fs::create_dir_all(&directory).unwrap();
            return Self { octet, port, directory, _claim: claim };
        }
        panic!("every slice of the loopback network is taken");
    }

    /// An address of region `eu` (`127.N.1.0/24`).
    pub(crate) fn eu(&self, last: u8) -> SocketAddr {
        self.addr(1, last)
    }

    /// An address of region `us` (`127.N.2.0/24`).
    pub(crate) fn us(&self, last: u8) -> SocketAddr {
        self.addr(2, last)
    }

    /// An address of the carrier (`127.N.3.0/24`).
    pub(crate) fn carrier(&self, last: u8) -> SocketAddr {
        self.addr(3, last)
    }

    /// An address of a second carrier (`127.N.4.0/24`).
    pub(crate) fn rival(&self, last: u8) -> SocketAddr {
        self.addr(4, last)
    }

    /// An address that nobody knows (`127.N.9.0/24`).
    pub(crate) fn stranger(&self, last: u8) -> SocketAddr {
        self.addr(9, last)
    }

    /// Where the daemon under test listens: the first address of `eu`.
    pub(crate) fn door(&self) -> SocketAddr {
        self.eu(1)
    }

    /// The network around an address, as configurations write it.
    pub(crate) fn network(addr: SocketAddr) -> String {
        let IpAddr::V4(ip) = addr.ip() else { panic!("IPv4 alone") };
        let [a, b, c, _] = ip.octets();
        format!("{a}.{b}.{c}.0/24")
    }

    /// A directory for this site's files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a file of this site and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn addr(&self, net: u8, last: u8) -> SocketAddr {
        (Ipv4Addr::new(127, self.octet, net, last), self.port).into()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What a failed test left behind is wanted by whoever looks into it.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

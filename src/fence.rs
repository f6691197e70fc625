//! The fence. Only the fence makes an address that may be sent to.
//!
//! A [`Fenced`] address has no public constructor and no public field. Only [`Fence::admit`] makes one. A transport takes nothing
//! else, apart from the peer that a message came from (see [`crate::core::io::Peer`]). So a leak is a compile error:
//!
//! ```compile_fail,E0451
//! use ringfence::fence::Fenced;
//! let outside = Fenced { addr: "192.0.2.1:5060".parse().unwrap() };
//! ```
//!
//! ```compile_fail,E0277
//! use ringfence::fence::Fenced;
//! let addr: std::net::SocketAddr = "192.0.2.1:5060".parse().unwrap();
//! let outside: Fenced = addr.into();
//! ```
//!
//! This module may not resolve, connect or send; it only compares.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

/// A set of networks, held as sorted and merged ranges. Clones share them: a hundred thousand trunks of one carrier hold its networks once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Networks(Ranges);

/// The ranges of a set. Each set has one form, so that equal sets look alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Ranges {
    #[default]
    None,
    /// One range of IPv4, without anything beside it.
    One((u32, u32)),
    Many(Arc<(V4, V6)>),
}

type V4 = Box<[(u32, u32)]>;
type V6 = Box<[(u128, u128)]>;

impl Networks {
    /// No network.
    pub(crate) const NONE: Self = Self(Ranges::None);

    fn of(v4: Vec<(u32, u32)>, v6: Vec<(u128, u128)>) -> Self {
        Self(match (v4.as_slice(), v6.as_slice()) {
            ([], []) => Ranges::None,
            (&[range], []) => Ranges::One(range),
            _ => Ranges::Many(Arc::new((v4.into(), v6.into()))),
        })
    }

    fn v4(&self) -> &[(u32, u32)] {
        match &self.0 {
            Ranges::None => &[],
            Ranges::One(range) => std::slice::from_ref(range),
            Ranges::Many(ranges) => &ranges.0,
        }
    }

    fn v6(&self) -> &[(u128, u128)] {
        match &self.0 {
            Ranges::None | Ranges::One(_) => &[],
            Ranges::Many(ranges) => &ranges.1,
        }
    }

    /// Whether a clone of these saves memory.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.0, Ranges::Many(_))
    }

    /// The union of two sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::of(
            merged(self.v4().iter().chain(other.v4()).copied().collect(), u32::checked_add, 1),
            merged(self.v6().iter().chain(other.v6()).copied().collect(), u128::checked_add, 1),
        )
    }

    /// The set without what is in the other one.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self::of(
            rest(self.v4(), other.v4(), |at| at.checked_sub(1), |at| at.checked_add(1)),
            rest(self.v6(), other.v6(), |at| at.checked_sub(1), |at| at.checked_add(1)),
        )
    }

    /// Whether all of a network is in the set.
    pub(crate) fn covers(&self, net: IpNet) -> bool {
        // Ranges that touch are merged, so a network that is wholly in the set has both ends in one range.
        let range = |ip: IpAddr| self.ranges().find(|&(from, to)| from.is_ipv4() == ip.is_ipv4() && from <= ip && ip <= to);
        let last = range(net.broadcast());
        last.is_some() && range(net.network()) == last
    }

    /// Whether the address, in the form of `canonical`, is in the set.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match canonical(ip) {
            IpAddr::V4(ip) => within(self.v4(), u32::from(ip)),
            IpAddr::V6(ip) => within(self.v6(), u128::from(ip)),
        }
    }

    /// Whether the set is empty: nothing is inside.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Ranges::None)
    }

    /// The ranges as inclusive pairs of addresses, IPv4 first, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        let v4 = self.v4().iter().map(|&(from, to)| (IpAddr::V4(from.into()), IpAddr::V4(to.into())));
        let v6 = self.v6().iter().map(|&(from, to)| (IpAddr::V6(from.into()), IpAddr::V6(to.into())));
        v4.chain(v6)
    }

    /// The fewest networks that make up the set, IPv4 first, in order.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.ranges().flat_map(|range| match range {
            (IpAddr::V4(from), IpAddr::V4(to)) => IpSubnets::from(Ipv4Subnets::new(from, to, 0)),
            // Both are of one family: ranges never cross.
            (from, to) => IpSubnets::from(Ipv6Subnets::new(v6(from), v6(to), 0)),
        })
    }
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match net {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        Self::of(merged(v4, u32::checked_add, 1), merged(v6, u128::checked_add, 1))
    }
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, add: fn(T, T) -> Option<T>, one: T) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            // Adjacent ranges join too. A range that ends at the last address has no successor, so it takes in all that follow.
            Some(last) if add(last.1, one).is_none_or(|next| from <= next) => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// These sorted ranges without the others.
fn rest<T: Ord + Copy>(
    ranges: &[(T, T)],
    others: &[(T, T)],
    before: fn(T) -> Option<T>,
    after: fn(T) -> Option<T>,
) -> Vec<(T, T)> {
    let mut out = Vec::with_capacity(ranges.len());
    for &(from, to) in ranges {
        let mut start = Some(from);
        let first = others.partition_point(|&(_, end)| end < from);
        for &(gap, end) in others.get(first..).unwrap_or_default().iter().take_while(|&&(gap, _)| gap <= to) {
            if let (Some(at), Some(last)) = (start, before(gap))
                && at <= last
            {
                out.push((at, last));
            }
            start = after(end);
        }
        out.extend(start.filter(|&at| at <= to).map(|at| (at, to)));
    }
    out
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|&(from, _)| from <= value);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|&(_, to)| value <= to)
}

/// The address that packets really go to: the IPv4 address inside an IPv6 one, if that is mapped (`::ffff:a.b.c.d`) or has the
/// well-known NAT64 prefix (`64:ff9b::/96`, RFC 6052). Any other address is unchanged.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else { return IpAddr::V6(v6) };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// Whether an address means something only inside somebody's own network (RFC 1918, 3927, 4193, 6598): nobody else can send to it.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || a == 100 && b & 0xc0 == 64
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// A network with the ports at which SIP is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerNet {
    /// The network; often one address.
    pub net: IpNet,
    /// The first port and the last one. `None`: any port.
    pub ports: Option<(u16, u16)>,
}

impl ServerNet {
    fn holds(&self, ip: IpAddr, port: u16) -> bool {
        self.net.contains(&ip) && self.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
    }
}

impl fmt::Display for ServerNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone = self.net.prefix_len() == self.net.max_prefix_len();
        let net = if alone { self.net.addr().to_string() } else { self.net.to_string() };
        if self.ports.is_some() && matches!(self.net, IpNet::V6(_)) {
            write!(f, "[{net}]")?;
        } else {
            f.write_str(&net)?;
        }
        match self.ports {
            Some((first, last)) if first == last => write!(f, ":{first}"),
            Some((first, last)) => write!(f, ":{first}-{last}"),
            None => Ok(()),
        }
    }
}

/// The servers of a region: the addresses from which a server may speak, and the ports at which each is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSet {
    addresses: Networks,
    nets: Vec<ServerNet>,
}

impl ServerSet {
    /// No server at all.
    pub(crate) const NOBODY: Self = Self { addresses: Networks::NONE, nets: Vec::new() };

    /// The servers of these networks. An address in `never` is a trunk's, and so no server, even if the networks contain it.
    pub fn new(nets: Vec<ServerNet>, never: &Networks) -> Self {
        let addresses = nets.iter().map(|of| of.net).collect::<Networks>().without(never);
        Self { addresses, nets }
    }

    /// Whether a server may speak from this address. The port does not matter: a client may choose any.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.addresses.contains(ip)
    }

    /// Whether a server is spoken to at this address and port.
    pub fn listens(&self, addr: SocketAddr) -> bool {
        let ip = canonical(addr.ip());
        self.addresses.contains(ip) && self.nets.iter().any(|of| of.holds(ip, addr.port()))
    }

    /// The addresses, without their ports.
    pub fn addresses(&self) -> &Networks {
        &self.addresses
    }

    /// The networks with their ports, as they were given.
    pub fn nets(&self) -> &[ServerNet] {
        &self.nets
    }
}

/// An address that a fence has passed. Only this can be handed to a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fenced {
    addr: SocketAddr,
}

impl Fenced {
    /// The address, for the system call that sends to it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same in little room, if it is an IPv4 address.
    pub(crate) fn v4(self) -> Option<FencedV4> {
        if let SocketAddr::V4(addr) = self.addr { Some(FencedV4(addr)) } else { None }
    }
}

/// An IPv4 address that a fence has passed, in little room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FencedV4(SocketAddrV4);

impl From<FencedV4> for Fenced {
    fn from(FencedV4(addr): FencedV4) -> Self {
        Self { addr: addr.into() }
    }
}

/// An address that the fence did not pass. No transport takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is outside")]
pub struct Outside(pub SocketAddr);

/// The addresses that are inside, for one decision: the region's networks or only its servers and, for requests to a trunk, that
/// trunk's networks.
#[derive(Clone, Copy, Debug)]
pub struct Fence<'a> {
    region: Option<&'a Networks>,
    /// The servers that are inside, with their ports. `None`: all of the region's networks.
    servers: Option<&'a ServerSet>,
    trunk: Option<&'a Networks>,
    outbound: Option<&'a Networks>,
    /// Addresses that never pass.
    except: &'a [SocketAddr],
    /// The only addresses that pass. `None`: no such list.
    only: Option<&'a [SocketAddr]>,
}

impl<'a> Fence<'a> {
    const NOTHING: Self = Self { region: None, servers: None, trunk: None, outbound: None, except: &[], only: None };

    /// For requests outside dialogs: only the region's networks.
    pub(crate) fn of_region(networks: &'a Networks) -> Self {
        Self { region: Some(networks), ..Self::NOTHING }
    }

    /// For requests inside a dialog to the region's servers: only these, within the region's networks. `own`: our own listeners,
    /// which are no next hop.
    pub(crate) fn of_servers(networks: &'a Networks, servers: &'a ServerSet, own: &'a [SocketAddr]) -> Self {
        Self { region: Some(networks), servers: Some(servers), except: own, ..Self::NOTHING }
    }

    /// The same, and for a request that may go to a trunk: the networks of that trunk, and of its outbound calls.
    #[must_use]
    pub(crate) fn or_trunk(self, trunk: &'a Networks, outbound: &'a Networks) -> Self {
        Self { trunk: Some(trunk), outbound: Some(outbound), ..self }
    }

    /// For where the messages of a trunk come from: only that trunk's networks, and those of its outbound calls.
    pub(crate) fn of_trunk(trunk: &'a Networks, outbound: &'a Networks) -> Self {
        Self { trunk: Some(trunk), outbound: Some(outbound), ..Self::NOTHING }
    }

    /// For the hops behind a next hop: all of the region's networks without our own listeners.
    pub(crate) fn of_behind(networks: &'a Networks, own: &'a [SocketAddr]) -> Self {
        Self { region: Some(networks), except: own, ..Self::NOTHING }
    }

    /// For a request that a token of ours leads to ourselves: only our own listeners, within the region's networks.
    pub(crate) fn of_own(networks: &'a Networks, own: &'a [SocketAddr]) -> Self {
        Self { region: Some(networks), only: Some(own), ..Self::NOTHING }
    }

    /// For a new call to a trunk: only the trunk's outbound networks.
    pub(crate) fn of_outbound(outbound: &'a Networks) -> Self {
        Self { outbound: Some(outbound), ..Self::NOTHING }
    }

    /// The networks that it compares with, for people to read. Those of servers come from [`Fence::servers`].
    pub fn networks(&self) -> impl Iterator<Item = &'a Networks> {
        [self.region.filter(|_| self.servers.is_none()), self.trunk, self.outbound].into_iter().flatten()
    }

    /// The servers that it compares with, for people to read.
    pub fn servers(&self) -> Option<&'a ServerSet> {
        self.servers
    }

    /// Passes the address if it is inside. Unspecified, multicast and broadcast addresses, and port 0, never pass, even if the
    /// networks contain them.
    pub fn admit(&self, addr: SocketAddr) -> Result<Fenced, Outside> {
        let ip = canonical(addr.ip());
        let meant = SocketAddr::new(ip, addr.port());
        let region = self.region.is_some_and(|set| set.contains(ip)) && self.servers.is_none_or(|servers| servers.listens(meant));
        let trunk = [self.trunk, self.outbound].into_iter().flatten().any(|set| set.contains(ip));
        let listed = !self.except.contains(&meant) && self.only.is_none_or(|only| only.contains(&meant));
        let inside = (region || trunk) && listed;
        if !inside || !sendable(ip) || addr.port() == 0 {
            return Err(Outside(addr));
        }
        // The canonical form is what is sent to, so that what was judged and what is used cannot differ.
        Ok(Fenced { addr: meant })
    }
}

fn sendable(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let any = ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    !ip.is_multicast() && !broadcast && !any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Networks {
        list.iter().map(|text| text.parse::<IpNet>().expect("a network")).collect()
    }

    #[test]
    fn contains_the_edges_and_nothing_beyond() {
        let set = networks(&["10.20.0.0/16", "203.0.113.8/32", "2001:db8:e::/48", "10.21.0.0/16"]);
        for inside in [
            "10.20.0.0",
            "10.21.255.255",
            "203.0.113.8",
            "2001:db8:e::",
            "2001:db8:e:ffff::1",
            "::ffff:10.20.0.1",
            "64:ff9b::10.20.0.1",
        ] {
            assert!(set.contains(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["10.19.255.255", "10.22.0.0", "203.0.113.9", "2001:db8:f::", "::ffff:11.0.0.1", "64:ff9b::11.0.0.1"] {
            assert!(!set.contains(outside.parse().expect("an address")), "{outside}");
        }
        assert_eq!(set.ranges().count(), 3, "adjacent networks are one range");
    }

    #[test]
    fn whole_space_merges() {
        let set = networks(&["0.0.0.0/0", "255.255.255.255/32", "::/0"]);
        assert_eq!(set.ranges().count(), 2);
    }

    #[test]
    fn never_a_destination() {
        let set = networks(&["0.0.0.0/0", "::/0"]);
        let fence = Fence::of_region(&set);
        for never in ["0.0.0.0:5060", "[::]:5060", "224.0.0.1:5060", "255.255.255.255:5060", "192.0.2.1:0", "[ff02::1]:5060"] {
            assert!(fence.admit(never.parse().expect("an address")).is_err(), "{never}");
        }
    }

    #[test]
    fn what_was_judged_is_what_is_sent_to() {
        let set = networks(&["10.0.0.0/8"]);
        let fenced = Fence::of_region(&set).admit("[::ffff:10.0.0.1]:5060".parse().expect("an address"));
        assert_eq!(fenced.map(|fenced| fenced.addr().to_string()), Ok("10.0.0.1:5060".to_owned()));
    }

    #[test]
    fn outbound_does_not_open_the_region() {
        let (region, carrier) = (networks(&["10.0.0.0/8"]), networks(&["192.0.2.0/24"]));
        let to_region = "10.0.0.1:5060".parse().expect("an address");
        assert!(Fence::of_outbound(&carrier).admit(to_region).is_err());
        assert!(Fence::of_region(&region).admit(to_region).is_ok());
    }

    fn server(text: &str, ports: Option<(u16, u16)>) -> ServerNet {
        ServerNet { net: text.parse().expect("a network"), ports }
    }

    #[test]
    fn a_set_without_another() {
        let all = networks(&["0.0.0.0/0", "2001:db8::/32"]);
        let left = all.without(&networks(&["0.0.0.0/8", "10.1.0.0/16", "255.255.255.255/32", "2001:db8::/48"]));
        let edges = |ip: &str| left.contains(ip.parse().expect("an address"));
        for (ip, inside) in [
            ("0.255.255.255", false),
            ("1.0.0.0", true),
            ("10.0.255.255", true),
            ("10.1.0.0", false),
            ("10.1.255.255", false),
            ("10.2.0.0", true),
            ("255.255.255.254", true),
            ("255.255.255.255", false),
            ("2001:db8:0:ffff::", false),
            ("2001:db8:1::", true),
        ] {
            assert_eq!(edges(ip), inside, "{ip}");
        }
        assert!(all.without(&all).is_empty() && all.without(&Networks::default()) == all);
    }

    #[test]
    fn covers_a_network_or_not() {
        let set = networks(&["10.0.0.0/16", "10.1.0.0/16", "10.4.0.0/16"]);
        let covers = |net: &str| set.covers(net.parse().expect("a network"));
        assert!(covers("10.0.0.0/15") && covers("10.4.3.0/24") && covers("10.1.2.3/32"));
        assert!(!covers("10.0.0.0/14") && !covers("10.3.0.0/16") && !covers("::/0") && !covers("10.4.0.0/15"));
    }

    #[test]
    fn only_servers_at_their_ports_pass() {
        let region = networks(&["10.1.0.0/16", "2001:db8:e::/48"]);
        let list = vec![
            server("10.1.0.0/24", None),
            server("10.1.5.31/32", Some((5060, 5090))),
            server("2001:db8:e::5/128", Some((5060, 5060))),
            // Not inside the region: the networks are the outer bound.
            server("10.2.0.0/24", None),
        ];
        let servers = ServerSet::new(list, &networks(&["10.1.0.50/32", "198.51.100.0/24"]));
        let own = ["10.1.0.10:5060".parse().expect("an address")];
        let fence = Fence::of_servers(&region, &servers, &own);
        let passes = |fence: Fence<'_>, addr: &str| fence.admit(addr.parse().expect("an address")).is_ok();
        for (addr, pass) in [
            ("10.1.0.20:6379", true),
            ("10.1.5.31:5060", true),
            ("10.1.5.31:5090", true),
            ("10.1.5.31:5091", false),
            ("10.1.5.32:5060", false),
            ("[::ffff:10.1.5.31]:5060", true),
            ("[64:ff9b::10.1.5.31]:6379", false),
            ("[2001:db8:e::5]:5060", true),
            ("[2001:db8:e::5]:5061", false),
            ("10.2.0.1:5060", false),
            ("10.1.0.50:5060", false),
            ("10.1.0.10:5060", false),
            ("[::ffff:10.1.0.10]:5060", false),
            ("10.1.0.10:5080", true),
        ] {
            assert_eq!(passes(fence, addr), pass, "{addr}");
        }
        let carrier = networks(&["198.51.100.0/24"]);
        assert!(passes(fence.or_trunk(&carrier, &carrier), "198.51.100.7:9999"));
        assert!(!passes(fence.or_trunk(&carrier, &carrier), "10.1.9.9:5060"));
        assert!(
            passes(Fence::of_own(&region, &own), "10.1.0.10:5060") && !passes(Fence::of_own(&region, &own), "10.1.0.20:5060")
        );
        assert!(
            !passes(Fence::of_behind(&region, &own), "10.1.0.10:5060") && passes(Fence::of_behind(&region, &own), "10.1.9.9:1")
        );
        let shown: Vec<_> = servers.nets().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.1.0.0/24", "10.1.5.31:5060-5090", "[2001:db8:e::5]:5060", "10.2.0.0/24"]);
    }
}

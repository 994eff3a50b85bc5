//! What kind of network an address belongs to, by the IANA special-purpose registries (RFC 6890 and its updates).
//!
//! An IPv6 address that carries an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) is judged by both:
//! such forms have no business in the answer of a public name, so they count as [`AddressKind::Reserved`] unless the
//! address they carry is worse.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of network an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// Reachable over the public internet, as far as the registries know.
    Public,
    /// Inside of an organisation or a machine: loopback, RFC 1918, unique local, link-local, shared (CGNAT).
    Private,
    /// Where cloud machines read their own credentials. Refused for names in every case; only a rule that names the
    /// address itself reaches it.
    Metadata,
    /// Documentation, benchmarking, protocol assignments, future use, IPv4 inside IPv6. Like `Private` for rules.
    Reserved,
    /// No destination for a connection: unspecified, "this network", multicast, broadcast. Refused in every case.
    Unusable,
}

impl AddressKind {
    /// The kind in words, for messages.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "a private, loopback or link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Reserved => "a reserved address",
            Self::Unusable => "no address to connect to",
        }
    }

    /// Whether a connection may go there. `private_network`: the rule allows private addresses; `literal`: the rule
    /// names this very address.
    #[must_use]
    pub(crate) fn may_connect(self, private_network: bool, literal: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private | Self::Reserved => private_network,
            Self::Metadata => private_network && literal,
            Self::Unusable => false,
        }
    }

    /// How bad it is, for choosing the worse of two.
    fn rank(self) -> u8 {
        match self {
            Self::Public => 0,
            Self::Private => 1,
            Self::Reserved => 2,
            Self::Metadata => 3,
            Self::Unusable => 4,
        }
    }

    fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

/// What kind of network `address` belongs to.
#[must_use]
pub fn classify(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressKind {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        // "This network" (RFC 791), multicast (RFC 5771), limited broadcast (RFC 919).
        (0 | 224..=239, ..) | (255, 255, 255, 255) => AddressKind::Unusable,
        // AWS/GCP/Azure/… metadata; ECS task metadata; Azure's wire server; Oracle's and Alibaba's metadata.
        (169, 254, 169, 254 | 253 | 123)
        | (169, 254, 170, 2 | 23)
        | (168, 63, 129, 16)
        | (192, 0, 0, 192)
        | (100, 100, 100, 200) => AddressKind::Metadata,
        // RFC 1918, loopback (RFC 1122), link-local (RFC 3927), shared address space (RFC 6598).
        (10 | 127, ..) | (172, 16..=31, ..) | (192, 168, ..) | (169, 254, ..) | (100, 64..=127, ..) => {
            AddressKind::Private
        }
        // Protocol assignments (RFC 6890), documentation (RFC 5737), 6to4 relay (RFC 7526), AS112 (RFC 7535, 7534),
        // AMT (RFC 7450), benchmarking (RFC 2544), future use (RFC 1112).
        (192, 0, 0 | 2, _)
        | (198, 51, 100, _)
        | (203, 0, 113, _)
        | (192, 88, 99, _)
        | (192, 31, 196, _)
        | (192, 175, 48, _)
        | (192, 52, 193, _)
        | (198, 18 | 19, ..)
        | (240..=255, ..) => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressKind {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = address.segments();
    let [a, b] = s6.to_be_bytes();
    let [c, d] = s7.to_be_bytes();
    let last = Ipv4Addr::new(a, b, c, d);
    let carried = |v4: Ipv4Addr| AddressKind::Reserved.worse(classify_v4(v4));
    match [s0, s1, s2, s3, s4, s5, s6, s7] {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unusable,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Private,
        // IPv4-mapped (RFC 4291, 2.5.5.2): the system connects to the IPv4 address itself.
        [0, 0, 0, 0, 0, 0xffff, ..] => carried(last),
        // IPv4-compatible (RFC 4291, 2.5.5.1, deprecated) and the rest of ::/96; IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => carried(last),
        // NAT64: the well-known prefix (RFC 6052) and the local one (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => carried(last),
        // 6to4 (RFC 3056): the IPv4 address stands behind the prefix.
        [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            carried(Ipv4Addr::new(a, b, c, d))
        }
        // Teredo (RFC 4380): server in the clear, client with all bits turned over.
        [0x2001, 0, high, low, ..] => {
            let ([sa, sb], [sc, sd]) = (high.to_be_bytes(), low.to_be_bytes());
            carried(Ipv4Addr::new(!a, !b, !c, !d)).worse(carried(Ipv4Addr::new(sa, sb, sc, sd)))
        }
        // EC2's and GCP's metadata over IPv6.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            AddressKind::Metadata
        }
        // Multicast (RFC 4291, 2.7).
        [0xff00..=0xffff, ..] => AddressKind::Unusable,
        // Unique local (RFC 4193), link-local, the old site-local (RFC 3879).
        [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..] => AddressKind::Private,
        // ISATAP (RFC 5214) under a global prefix.
        [.., 0x0000 | 0x0200, 0x5efe, _, _] => carried(last),
        // Protocol assignments 2001::/23 (Teredo is above; benchmarking, ORCHID, …), documentation (RFC 3849, 9637),
        // SRv6 SIDs (RFC 9602); everything else outside of global unicast 2000::/3.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressKind::Reserved,
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> AddressKind {
        classify(address.parse().unwrap())
    }

    #[test]
    fn every_family_of_addresses() {
        use AddressKind::{Metadata, Private, Public, Reserved, Unusable};
        for (wanted, addresses) in [
            (
                Public,
                "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1 223.255.255.255 11.0.0.1 2606:4700:4700::1111 2a00:1450::1 2001:200::1 2400::1",
            ),
            (
                Private,
                "10.0.0.1 127.0.0.1 127.255.255.254 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 100.64.0.1 100.127.255.255 ::1 fc00::1 fd12::1 fe80::1 febf::1 fec0::1",
            ),
            (
                Metadata,
                "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254 fd20:ce::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1",
            ),
            (
                Reserved,
                "192.0.0.1 192.0.2.7 198.51.100.7 203.0.113.7 198.18.0.1 198.19.255.255 192.88.99.1 240.0.0.1 255.255.255.254 2001:db8::1 2001:2::1 2001:20::1 3fff::1 5f00::1 100::1 4000::1 1::1",
            ),
            // IPv4 inside IPv6, private and public alike.
            (
                Reserved,
                "::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 ::ffff:0:10.0.0.1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::a00:1 2002:7f00:1::1 2002:808:808::1 2001:0:4136:e378:8000:63bf:80ff:fffe 2607:f8b0::5efe:a00:1",
            ),
            (
                Unusable,
                "0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.250 255.255.255.255 :: ff02::1 ff0e::1 ::ffff:0.0.0.0 64:ff9b::e000:1",
            ),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(kind(address), wanted, "{address}");
            }
        }
    }

    #[test]
    fn what_may_be_connected_to() {
        use AddressKind::{Metadata, Private, Public, Reserved, Unusable};
        for (kind, public_rule, private_rule, literal_rule) in [
            (Public, true, true, true),
            (Private, false, true, true),
            (Reserved, false, true, true),
            (Metadata, false, false, true),
            (Unusable, false, false, false),
        ] {
            assert_eq!(kind.may_connect(false, false), public_rule, "{kind:?}");
            assert_eq!(kind.may_connect(false, true), public_rule, "{kind:?} as a literal, not granted");
            assert_eq!(kind.may_connect(true, false), private_rule, "{kind:?}");
            assert_eq!(kind.may_connect(true, true), literal_rule, "{kind:?}");
        }
    }
}

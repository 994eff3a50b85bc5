//! Where a request comes from, as far as the limit on failures tells sources apart.

use std::{fmt, net::IpAddr};

/// A network that one caller commands: an IPv4 address, or the /64 of an IPv6 address (RFC 6177: what a single
/// subscriber is given at least), whose other half the caller chooses freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(network.into())
            }
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_is_one_source() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("192.0.2.7"), source("::ffff:192.0.2.7"));
        assert_ne!(source("192.0.2.7"), source("192.0.2.8"));
        assert_eq!(source("2001:db8:1:2::5"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::5"), source("2001:db8:1:3::5"));
        assert_eq!(source("2001:db8:1:2::5").to_string(), "2001:db8:1:2::/64");
    }
}

//! Which addresses may be sent to. An operator says where alerts go, and a name can lead anywhere: to this machine, to the cloud's
//! metadata, into a private network. Unless a sink says that it is private, none of that is reached. The address that was looked
//! at is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is a private address; a sink that is to reach it says `private = true`")]
pub(crate) struct Private(pub(crate) String);

/// Resolves names, and refuses those that lead to private addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            match found.iter().find(|address| !is_public(address.ip())) {
                Some(address) => Err(Private(format!("{host} ({})", address.ip())).into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether an address is one that anybody on the internet can have.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The special-purpose blocks of RFC 6890 and its successors are not.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Carrier-grade NAT, protocol assignments, benchmarking.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Addresses that carry one of IPv4 are as that one is: mapped, compatible, translated, 6to4.
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return v4(parts[6], parts[7]);
    }
    if parts[0] == 0x2002 {
        return v4(parts[1], parts[2]);
    }
    let is_special = address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || parts[..6] == [0; 6]
        // Unique local, link-local, the former site-local, documentation, discard, Teredo and ORCHID.
        || (parts[0] & 0xfe00) == 0xfc00
        || (parts[0] & 0xffc0) == 0xfe80
        || (parts[0] & 0xffc0) == 0xfec0
        || (parts[0] == 0x2001 && (parts[1] == 0xdb8 || parts[1] < 0x200))
        || parts[..4] == [0x100, 0, 0, 0]
        || (parts[0] == 0x64 && parts[1] == 0xff9b);
    !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_public_ones() {
        #[rustfmt::skip]
        let cases = [
            ("8.8.8.8",              true),
            ("93.184.215.14",        true),
            ("2606:2800:21f::1",     true),
            ("127.0.0.1",            false),
            ("10.1.2.3",             false),
            ("172.16.0.1",           false),
            ("172.32.0.1",           true),
            ("192.168.1.1",          false),
            ("169.254.169.254",      false),
            ("100.64.0.1",           false),
            ("100.128.0.1",          true),
            ("0.0.0.0",              false),
            ("0.1.2.3",              false),
            ("192.0.0.8",            false),
            ("192.0.2.1",            false),
            ("198.18.0.1",           false),
            ("224.0.0.1",            false),
            ("240.0.0.1",            false),
            ("255.255.255.255",      false),
            ("::1",                  false),
            ("::",                   false),
            ("fd00:ec2::254",        false),
            ("fe80::1",              false),
            ("fec0::1",              false),
            ("ff02::1",              false),
            ("2001:db8::1",          false),
            ("2001::1",              false),
            ("::ffff:127.0.0.1",     false),
            ("::ffff:8.8.8.8",       true),
            ("::127.0.0.1",          false),
            ("64:ff9b::7f00:1",      false),
            ("64:ff9b::808:808",     true),
            ("64:ff9b:1::1",         false),
            ("2002:7f00:1::",        false),
            ("2002:808:808::",       true),
        ];
        for (address, expected) in cases {
            assert_eq!(is_public(address.parse().expect("an address")), expected, "{address}");
        }
    }
}

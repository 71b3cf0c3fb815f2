//! Addresses and address ranges, parsed as MetalLB parses them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::MetalLbVersion;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The number of bits of an address.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// Parses an address as Go's `net.ParseIP` does, into the form that Go prints: an IPv4 address inside IPv6 becomes
/// IPv4.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The reason why a prefix or range is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The text is neither a prefix nor a range.
    #[error("it is no CIDR prefix such as `192.0.2.0/24` and no range such as `192.0.2.1-192.0.2.9`")]
    Syntax,
    /// The range runs backwards.
    #[error("the range starts after its end")]
    Backwards,
    /// The ends are of different families (0.16.0 and later).
    #[error("the range starts in one address family and ends in the other")]
    MixedFamilies,
}

/// A range of addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    family: Family,
    first: u128,
    last: u128,
    /// The number of bits before the address as written: 96 for an IPv4 prefix that is written as IPv6.
    embedding: u8,
}

impl AddressRange {
    /// Parses a prefix or a range; `None` for one that contains no address.
    ///
    /// # Errors
    /// [`RangeError`] for what `ParseCIDR` rejects (internal/config/config.go).
    pub fn parse(text: &str, version: MetalLbVersion) -> Result<Option<Self>, RangeError> {
        let Some((first, last)) = text.split_once('-') else {
            return Self::of_prefix(text).map(Some).ok_or(RangeError::Syntax);
        };
        let end = |text: &str| parse_address(text.trim()).ok_or(RangeError::Syntax);
        let (first, last) = (end(first)?, end(last)?);
        let family = Family::of(first);
        if family != Family::of(last) {
            if version.rejects_mixed_ranges() {
                return Err(RangeError::MixedFamilies);
            }
            // The ends are compared as 16 bytes, where IPv4 is `::ffff:0:0/96`. No prefix sums up such a range.
            let is_forward = as_bytes(first) <= as_bytes(last);
            return if is_forward { Ok(None) } else { Err(RangeError::Backwards) };
        }
        let (first, last) = (number(first), number(last));
        if first > last {
            Err(RangeError::Backwards)
        } else {
            Ok(Some(Self { family, first, last, embedding: 0 }))
        }
    }

    fn of_prefix(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = if is_number { length.parse().ok()? } else { return None };
        let written: IpAddr = address.parse().ok()?;
        // A prefix of IPv6 addresses that contains all of IPv4 and more is one of IPv6 (`To4`, Go's package net).
        let address = if written.is_ipv6() && length < 96 { written } else { written.to_canonical() };
        if length > Family::of(written).bits() {
            return None;
        }
        // The length of an IPv4 prefix that is written as IPv6 counts from the first of 128 bits.
        let embedding = Family::of(written).bits().saturating_sub(Family::of(address).bits());
        let length = length.saturating_sub(embedding);
        let family = Family::of(address);
        let hosts = all_ones(family.bits().checked_sub(length)?);
        let first = number(address) & !hosts;
        Some(Self { family, first, last: first | hosts, embedding })
    }

    /// The family of the addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        self.family
    }

    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.family == Family::of(address) && (self.first..=self.last).contains(&number(address))
    }

    /// The first three addresses of the range, or as many as it has.
    pub(super) fn first_addresses(self) -> impl Iterator<Item = IpAddr> {
        (self.first..=self.last).take(3).map(move |number| address(self.family, number))
    }

    /// Whether the range starts at or before the address, in the order of ranges.
    pub(super) fn starts_by(self, address: IpAddr) -> bool {
        (self.family, self.first) <= (Family::of(address), number(address))
    }

    /// Whether both ranges have an address in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.family as u8 == other.family as u8 && self.first <= other.last && other.first <= self.last
    }

    /// The length of the shortest prefix that is within the range (`lowestMask`), as MetalLB counts it: an IPv4 prefix
    /// that is written as IPv6 keeps its length of up to 128.
    #[must_use]
    pub fn shortest_prefix(self) -> u8 {
        let bits = self.family.bits();
        let is_inside = |length: &u8| {
            let hosts = all_ones(bits.saturating_sub(*length));
            // The first prefix of this length at or after the start of the range.
            let start =
                if self.first & hosts == 0 { Some(self.first) } else { (self.first | hosts).checked_add(1) };
            start.and_then(|start| start.checked_add(hosts)).is_some_and(|end| end <= self.last)
        };
        (0..=bits).find(is_inside).unwrap_or(bits).saturating_add(self.embedding)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

fn as_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Returns a number whose lowest `count` bits are set.
fn all_ones(count: u8) -> u128 {
    1_u128.checked_shl(count.into()).map_or(u128::MAX, |power| power.wrapping_sub(1))
}

/// Displays as text for messages: `192.0.2.0-192.0.2.15`.
impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", address(self.family, self.first), address(self.family, self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressRange, MetalLbVersion, RangeError, parse_address};

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text, MetalLbVersion::V0_16_2).unwrap().unwrap()
    }

    #[test]
    fn addresses_are_read_in_canonical_form() {
        for (text, canonical) in [
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8:0:1:0:0:0:0", "2001:db8:0:1::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("::1.2.3.4", "::102:304"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), canonical, "{text}");
        }
        for text in ["", "192.0.2.01", "192.0.2", "fe80::1%eth0", "a.example.com", " 192.0.2.1"] {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn prefixes_and_ranges_hold_their_first_and_last_address() {
        for (text, shown) in [
            ("192.0.2.77/28", "192.0.2.64-192.0.2.79"),
            ("0.0.0.0/0", "0.0.0.0-255.255.255.255"),
            ("192.0.2.1/32", "192.0.2.1-192.0.2.1"),
            ("192.0.2.1 - 192.0.2.9", "192.0.2.1-192.0.2.9"),
            ("2001:db8::/126", "2001:db8::-2001:db8::3"),
            ("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("::ffff:192.0.2.0/120", "192.0.2.0-192.0.2.255"),
            ("::ffff:192.0.2.0/95", "::fffe:0:0-::ffff:255.255.255.255"),
        ] {
            assert_eq!(range(text).to_string(), shown, "{text}");
        }
        assert!(range("192.0.2.0/28").contains("192.0.2.15".parse().unwrap()));
        assert!(!range("192.0.2.0/28").contains("192.0.2.16".parse().unwrap()));
        assert!(!range("::/0").contains("192.0.2.16".parse().unwrap()));
        assert!(range("192.0.2.0/28").overlaps(range("192.0.2.15-192.0.2.20")));
        assert!(!range("192.0.2.0/28").overlaps(range("192.0.2.16-192.0.2.20")));
        assert!(!range("0.0.0.0/0").overlaps(range("::/0")));
    }

    #[test]
    fn an_invalid_address_range_is_rejected() {
        let parse = |text| AddressRange::parse(text, MetalLbVersion::V0_16_2);
        for text in
            ["", "192.0.2.1", "192.0.2.0/33", "192.0.2.0/+8", "192.0.2.0/", "::/129", "a-b", "-", "1.1.1.1-"]
        {
            assert_eq!(parse(text), Err(RangeError::Syntax), "{text}");
        }
        assert_eq!(parse("192.0.2.9-192.0.2.1"), Err(RangeError::Backwards));
        assert_eq!(parse("192.0.2.1-2001:db8::1"), Err(RangeError::MixedFamilies));
        for version in [MetalLbVersion::V0_13_5, MetalLbVersion::V0_15_2] {
            assert_eq!(AddressRange::parse("192.0.2.1-2001:db8::1", version), Ok(None));
            assert_eq!(AddressRange::parse("2001:db8::1-192.0.2.1", version), Err(RangeError::Backwards));
        }
    }

    #[test]
    fn the_shortest_prefix_inside_a_range_is_found() {
        for (text, length) in [
            ("192.0.2.0/28", 28),
            ("192.0.2.1-192.0.2.1", 32),
            ("192.0.2.1-192.0.2.9", 30),
            ("192.0.2.0-192.0.2.255", 24),
            ("192.0.2.1-192.0.2.255", 25),
            ("0.0.0.0/0", 0),
            ("255.255.255.255/32", 32),
            ("::/0", 0),
            ("2001:db8::1-2001:db8::2", 128),
            ("::ffff:192.0.2.16/124", 124),
        ] {
            assert_eq!(range(text).shortest_prefix(), length, "{text}");
        }
    }
}

//! The MetalLB versions whose election is replayed, and their differences.

use std::fmt;
use std::str::FromStr;

/// A MetalLB version whose election is replayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetalLbVersion {
    /// 0.13.5.
    V0_13_5,
    /// 0.15.2.
    V0_15_2,
    /// 0.16.2, the newest.
    #[default]
    V0_16_2,
}

impl MetalLbVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_13_5, Self::V0_15_2, Self::V0_16_2];

    /// The version that decides like a release, by the release's tag: `v0.14.9`, `0.16.0-debian-12-r3`. It is 0.13.5
    /// for releases before 0.14, 0.15.2 for 0.14 and 0.15, and 0.16.2 for later ones. `None` for a tag without a
    /// version, such as `main`.
    #[must_use]
    pub fn of_release(tag: &str) -> Option<Self> {
        let mut numbers = tag.strip_prefix('v').unwrap_or(tag).split('.');
        let mut next = || numbers.next()?.parse::<u32>().ok();
        let (major, minor) = (next()?, next()?);
        Some(match (major, minor) {
            (0, ..=13) => Self::V0_13_5,
            (0, 14 | 15) => Self::V0_15_2,
            _ => Self::V0_16_2,
        })
    }

    /// The version's number.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::V0_13_5 => "0.13.5",
            Self::V0_15_2 => "0.15.2",
            Self::V0_16_2 => "0.16.2",
        }
    }

    /// Whether the label `node.kubernetes.io/exclude-from-external-load-balancers` (since 0.14.2) and the condition
    /// `NetworkUnavailable` (since 0.13.10) keep a node from announcing.
    #[must_use]
    pub const fn excludes_nodes(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether a terminating endpoint that still serves counts. Since 0.14.2.
    #[must_use]
    pub const fn counts_serving(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether annotations with the prefix `metallb.io/` are read. Since 0.14.9.
    #[must_use]
    pub const fn reads_new_annotations(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether a requested address must be in the requested pool. 0.13.5 ignores the pool then.
    #[must_use]
    pub const fn compares_requests(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether `serviceAllocation` can reserve pools. Since 0.13.8.
    #[must_use]
    pub const fn reserves_pools(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether `AddressPool`s are read. Up to 0.13.
    #[must_use]
    pub const fn reads_legacy_pools(self) -> bool {
        matches!(self, Self::V0_13_5)
    }

    /// Whether every node counts as alive without a memberlist. Before 0.15.0, no node did.
    #[must_use]
    pub const fn runs_without_memberlist(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether advertisements can select Services. Since 0.16.0.
    #[must_use]
    pub const fn selects_services(self) -> bool {
        matches!(self, Self::V0_16_2)
    }

    /// Whether advertisements can prefer nodes. Since 0.16.2.
    #[must_use]
    pub const fn prefers_nodes(self) -> bool {
        matches!(self, Self::V0_16_2)
    }

    /// Whether BGP advertisements of one pool must agree on `localPref`.
    #[must_use]
    pub const fn compares_local_pref(self) -> bool {
        !matches!(self, Self::V0_13_5)
    }

    /// Whether each speaker parses the BGP advertisements of its own node only. Since 0.16.0.
    #[must_use]
    pub const fn parses_bgp_per_node(self) -> bool {
        matches!(self, Self::V0_16_2)
    }

    /// Whether BGP treats an endpoint address that is not ready in one slice as not ready in any. Up to 0.15.
    #[must_use]
    pub const fn unready_wins_for_bgp(self) -> bool {
        !matches!(self, Self::V0_16_2)
    }

    /// Whether a range from an IPv4 to an IPv6 address is rejected. Since 0.16.0; before, it holds no address.
    #[must_use]
    pub const fn rejects_mixed_ranges(self) -> bool {
        matches!(self, Self::V0_16_2)
    }
}

impl fmt::Display for MetalLbVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

/// The error of a version that is not one of those whose election is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown MetalLB version: use 0.13.5, 0.15.2 or 0.16.2")]
pub struct UnknownVersion;

impl FromStr for MetalLbVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let text = text.strip_prefix('v').unwrap_or(text);
        Self::ALL.into_iter().find(|version| version.number() == text).ok_or(UnknownVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::MetalLbVersion;

    #[test]
    fn a_release_between_two_versions_decides_as_the_nearest_one() {
        use MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
        for (tag, expected) in [
            ("v0.12.1", Some(V0_13_5)),
            ("v0.13.12", Some(V0_13_5)),
            ("0.14.9-debian-12-r0", Some(V0_15_2)),
            ("v0.15.2", Some(V0_15_2)),
            ("v0.16.0", Some(V0_16_2)),
            ("v1.0.0", Some(V0_16_2)),
            ("v0.16", Some(V0_16_2)),
            ("main", None),
            ("v0", None),
            ("", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(MetalLbVersion::of_release(tag), expected, "{tag}");
        }
    }

    #[test]
    fn versions_are_read_back_with_and_without_the_v_and_no_other_is() {
        for version in MetalLbVersion::ALL {
            assert_eq!(version.number().parse(), Ok(version));
            assert_eq!(format!("v{version}").parse(), Ok(version));
        }
        for text in ["", "v", "0.14.9", "0.16", "latest"] {
            let error = text.parse::<MetalLbVersion>().unwrap_err();
            assert_eq!(error.to_string(), "unknown MetalLB version: use 0.13.5, 0.15.2 or 0.16.2");
        }
    }
}

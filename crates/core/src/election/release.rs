//! The MetalLB version whose election is replayed for a cluster, and the basis of its detection.

use std::collections::BTreeMap;
use std::fmt;

use super::MetalLbVersion;
use crate::escape::excerpt;
use crate::snapshot::{Inventory, image_name};

/// The basis of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionBasis {
    /// The user gave the version.
    Given,
    /// The image of the speaker pods.
    Image(String),
    /// A kind that the cluster serves, as its resource: `configurationstates`.
    Kind(&'static str),
    /// No basis: the newest version.
    Newest,
}

/// A version with its basis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedVersion {
    /// The version whose election is replayed.
    pub version: MetalLbVersion,
    /// The basis of the version.
    pub basis: VersionBasis,
}

/// The kinds that distinguish releases, newest first: a CRD outlives an upgrade, so the newest kind counts.
///
/// Each is in `config/crd/bases` of the named version, and not in that of the previous one; `ServiceL2Status` came
/// with 0.14.2.
const KINDS: [(&str, MetalLbVersion); 3] = [
    ("configurationstates", MetalLbVersion::V0_16_2),
    ("servicel2statuses", MetalLbVersion::V0_15_2),
    ("addresspools", MetalLbVersion::V0_13_5),
];

impl VersionBasis {
    /// The basis as a code: `Given`, `Image`, `Kind` or `Newest`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Given => "Given",
            Self::Image(_) => "Image",
            Self::Kind(_) => "Kind",
            Self::Newest => "Newest",
        }
    }
}

impl AssumedVersion {
    /// The version that the user gave.
    #[must_use]
    pub const fn given(version: MetalLbVersion) -> Self {
        Self { version, basis: VersionBasis::Given }
    }

    /// The version of the cluster: that of the image of most speaker pods, otherwise that of the newest kind that the
    /// cluster serves, otherwise the newest. `serves` takes the plural of a kind in the group `metallb.io`.
    #[must_use]
    pub fn detect(inventory: &Inventory, serves: impl Fn(&str) -> bool) -> Self {
        let mut images: BTreeMap<&str, usize> = BTreeMap::new();
        for speaker in inventory.speakers.values() {
            let count = images.entry(speaker.image.as_str()).or_default();
            *count = count.saturating_add(1);
        }
        let of_image = |image: &str| MetalLbVersion::of_release(image_name(image).1);
        let known = images.into_iter().filter_map(|(image, count)| Some((count, of_image(image)?, image)));
        if let Some((_, version, image)) = known.max() {
            return Self { version, basis: VersionBasis::Image(image.to_owned()) };
        }
        if let Some((kind, version)) = KINDS.into_iter().find(|(kind, _)| serves(kind)) {
            return Self { version, basis: VersionBasis::Kind(kind) };
        }
        Self { version: MetalLbVersion::default(), basis: VersionBasis::Newest }
    }
}

/// Displays as a phrase that follows the version: `detected from the speaker's image ...`.
impl fmt::Display for VersionBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given"),
            Self::Image(image) => write!(f, "detected from the speaker's image `{}`", excerpt(image)),
            Self::Kind(plural) => {
                write!(f, "detected from the kind `{plural}.metallb.io`, which the cluster serves")
            }
            Self::Newest => f.write_str("the newest, because no speaker pod shows its version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MetalLbVersion::{V0_13_5, V0_15_2, V0_16_2};
    use super::*;
    use crate::snapshot::{ObjectKey, Speaker};

    fn detect(images: &[&str], kinds: &[&str]) -> (MetalLbVersion, String) {
        let mut inventory = Inventory::default();
        for (index, image) in images.iter().enumerate() {
            let key = ObjectKey { namespace: "metallb-system".to_owned(), name: format!("speaker-{index}") };
            inventory.speakers.insert(key, Speaker { image: (*image).to_owned(), ..Speaker::default() });
        }
        let AssumedVersion { version, basis } =
            AssumedVersion::detect(&inventory, |kind| kinds.contains(&kind));
        (version, basis.to_string())
    }

    #[test]
    fn the_image_of_most_speakers_decides() {
        let old = "registry:5000/metallb/speaker:v0.13.12";
        let new = "quay.io/metallb/speaker:v0.16.2@sha256:0123";
        let (version, basis) = detect(&[old, new, old], &["configurationstates"]);
        assert_eq!(version, V0_13_5);
        assert_eq!(basis, format!("detected from the speaker's image `{old}`"));
        assert_eq!(detect(&[new], &[]).0, V0_16_2);
    }

    #[test]
    fn without_a_tag_that_is_a_version_the_newest_served_kind_decides() {
        let untagged = ["registry:5000/metallb/speaker", "quay.io/metallb/speaker:main", ""];
        for (kinds, expected) in [
            (&["addresspools"][..], V0_13_5),
            (&["addresspools", "servicel2statuses"], V0_15_2),
            (&["servicel2statuses", "configurationstates", "addresspools"], V0_16_2),
        ] {
            assert_eq!(detect(&untagged, kinds).0, expected, "{kinds:?}");
        }
        let (version, basis) = detect(&untagged, &["l2advertisements"]);
        assert_eq!(
            (version, basis.as_str()),
            (V0_16_2, "the newest, because no speaker pod shows its version")
        );
    }
}

//! Which of several versions a requirement means.

use semver::{Version, VersionReq};

/// The highest version that meets `requirement`; without a requirement, the highest release, or the highest pre-release
/// when there is no release (Semantic Versioning 2.0.0, section 11).
#[must_use]
pub fn resolve<'v>(
    versions: impl IntoIterator<Item = &'v Version>,
    requirement: Option<&VersionReq>,
) -> Option<&'v Version> {
    versions
        .into_iter()
        .filter(|version| requirement.is_none_or(|requirement| requirement.matches(version)))
        .max_by_key(|version| (requirement.is_some() || version.pre.is_empty(), *version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_that_fits() {
        let versions: Vec<Version> =
            ["1.2.0", "1.10.0", "2.0.0", "3.0.0-rc.1"].iter().map(|v| v.parse().unwrap()).collect();
        let pick = |req: &str| resolve(&versions, Some(&req.parse().unwrap())).map(ToString::to_string);
        assert_eq!(pick("^1.2").as_deref(), Some("1.10.0"));
        assert_eq!(pick("=1.2.0").as_deref(), Some("1.2.0"));
        assert_eq!(pick("^4"), None);
        assert_eq!(resolve(&versions, None).map(ToString::to_string).as_deref(), Some("2.0.0"));
        assert_eq!(resolve(versions.last(), None).map(ToString::to_string).as_deref(), Some("3.0.0-rc.1"));
    }
}

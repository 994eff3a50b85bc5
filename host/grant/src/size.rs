//! How large what a plugin hands over may be, and whether it may hand it over at all.

use crate::{ArtifactsGrant, Capability, Denial, Grants, MailGrant};

/// Whether a capability is allowed at all.
///
/// # Errors
/// A denial with the smallest grant of the capability.
pub fn check_capability(grants: &Grants, capability: Capability) -> Result<(), Denial> {
    if grants.allows(capability) {
        return Ok(());
    }
    Err(Denial {
        capability,
        message: format!("{capability} is not granted"),
        mend: capability.smallest_grant().into(),
    })
}

/// Whether an artifact of so many bytes may be stored.
///
/// # Errors
/// A denial that names the size.
pub fn check_artifact(grant: Option<&ArtifactsGrant>, bytes: u64) -> Result<(), Denial> {
    let denial = |message: String| {
        Err(Denial {
            capability: Capability::Artifacts,
            message,
            mend: format!("[artifacts]\nmax-bytes = {bytes}"),
        })
    };
    match grant {
        None => denial("may not store artifacts".into()),
        Some(grant) if bytes > grant.max_bytes => {
            denial(format!("an artifact of {bytes} bytes; granted are {}", grant.max_bytes))
        }
        Some(_) => Ok(()),
    }
}

/// Whether a mail of so many bytes, attachments included, may be sent. To whom, [`crate::check_mail`] says.
///
/// # Errors
/// A denial that names the size.
pub fn check_mail_size(grant: Option<&MailGrant>, bytes: u64) -> Result<(), Denial> {
    match grant.and_then(|grant| grant.max_bytes).filter(|most| bytes > *most) {
        None => Ok(()),
        Some(most) => Err(Denial {
            capability: Capability::Mail,
            message: format!("a mail of {bytes} bytes; granted are {most}"),
            mend: format!("[mail]\nmax-bytes = {bytes}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_and_the_mend_would_allow_them() {
        let grants = Grants::from_toml("[artifacts]\nmax-bytes = 10\n[mail]\nmax-bytes = 20").unwrap();
        assert!(check_artifact(grants.artifacts.as_ref(), 10).is_ok());
        assert!(check_mail_size(grants.mail.as_ref(), 20).is_ok());
        for denial in [
            check_artifact(grants.artifacts.as_ref(), 11).unwrap_err(),
            check_artifact(None, 11).unwrap_err(),
            check_mail_size(grants.mail.as_ref(), 21).unwrap_err(),
        ] {
            let mended = Grants::from_toml(&denial.mend).unwrap();
            assert!(mended.allows(denial.capability), "{denial:?}");
            let artifacts = mended.artifacts.as_ref();
            assert!(artifacts.is_none_or(|grant| check_artifact(Some(grant), 11).is_ok()));
            assert!(check_mail_size(mended.mail.as_ref(), 21).is_ok());
        }
        for capability in Capability::ALL {
            let denial = check_capability(&Grants::default(), capability).unwrap_err();
            assert!(check_capability(&Grants::from_toml(&denial.mend).unwrap(), capability).is_ok());
        }
    }
}

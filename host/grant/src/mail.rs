//! Who may be written to, and in whose name.

use factotum_provenance::{Carried, Source};
use serde::{Deserialize, Serialize};

use crate::{AddressPattern, Capability, Denial, data, text::quoted};

/// Narrows mail: both lists must match. An empty `senders` allows only the host's default sender; an empty `recipients`
/// allows nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MailGrant {
    /// In whose name the plugin may write, beside the host's default sender.
    pub senders: Vec<AddressPattern>,
    /// Whom it may write to (to, cc).
    pub recipients: Vec<AddressPattern>,
    /// The most mails in any 60 minutes, over all calls of the plugin. Absent (the default): no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// The most bytes of one mail, attachments included. Absent (the default): what the mail server takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Whose data must not be in what is sent. By default nobody's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_from: Vec<Source>,
}

/// Whether a mail from `sender` (absent: the host's default) to all of `recipients` is allowed, for a caller who does not
/// know where the call's data comes from: a grant that keeps some data away allows nothing here. See [`check_mail_with`].
///
/// # Errors
/// The first address that no pattern allows.
pub fn check_mail<'a>(
    grant: Option<&MailGrant>,
    sender: Option<&str>,
    recipients: impl IntoIterator<Item = &'a str>,
) -> Result<(), Denial> {
    check(grant, sender, recipients, None)
}

/// Whether a mail with the data of a call may be sent from `sender` (absent: the host's default) to all of `recipients`.
///
/// # Errors
/// The first address that no pattern allows, or the data that is kept away.
pub fn check_mail_with<'a>(
    grant: Option<&MailGrant>,
    sender: Option<&str>,
    recipients: impl IntoIterator<Item = &'a str>,
    data: &Carried,
) -> Result<(), Denial> {
    check(grant, sender, recipients, Some(data))
}

fn check<'a>(
    grant: Option<&MailGrant>,
    sender: Option<&str>,
    recipients: impl IntoIterator<Item = &'a str>,
    data: Option<&Carried>,
) -> Result<(), Denial> {
    let denial = |message: String, mend: String| Denial { capability: Capability::Mail, message, mend };
    let Some(grant) = grant else {
        return Err(denial("may not send mail".into(), Capability::Mail.smallest_grant().into()));
    };
    if let Some(sender) = sender
        && !grant.senders.iter().any(|p| p.matches(sender))
    {
        return Err(denial(
            format!("may not send as {sender}"),
            format!("[mail]\nsenders = [{}]", quoted(sender)),
        ));
    }
    for recipient in recipients {
        if !grant.recipients.iter().any(|p| p.matches(recipient)) {
            return Err(denial(
                format!("may not send to {recipient}"),
                format!("[mail]\nrecipients = [{}]", quoted(recipient)),
            ));
        }
    }
    match data::fall(&grant.not_from, data) {
        None => Ok(()),
        Some(fall) => Err(denial(
            format!("may not send this mail: {}", fall.message("the grant for mail")),
            fall.mend("[mail]", &grant.not_from),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_checked() {
        let grant = MailGrant {
            senders: vec!["desk@example.com".parse().unwrap()],
            recipients: vec!["*@example.com".parse().unwrap(), "jane@other.test".parse().unwrap()],
            ..MailGrant::default()
        };
        assert!(check_mail(Some(&grant), None, ["a@example.com", "JANE@other.test"]).is_ok());
        assert!(check_mail(Some(&grant), Some("desk@example.com"), ["a@example.com"]).is_ok());
        let denial = check_mail(Some(&grant), Some("ceo@example.com"), ["a@example.com"]).unwrap_err();
        assert!(denial.message.contains("ceo@example.com") && denial.mend.contains("senders"));
        let denial = check_mail(Some(&grant), None, ["a@example.com", "b@other.test"]).unwrap_err();
        assert_eq!(denial.mend, "[mail]\nrecipients = [\"b@other.test\"]");
        assert!(check_mail(None, None, ["a@example.com"]).is_err());
        assert!(check_mail(Some(&MailGrant::default()), None, ["a@example.com"]).is_err());
    }
}

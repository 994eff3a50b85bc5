//! The seam to the mailer: whoever really hands a mail over for delivery.

use async_trait::async_trait;
use factotum_sandbox::{CallFault, MailMessage};

/// Hands mails over for delivery.
#[async_trait]
pub trait Courier: Send + Sync {
    /// The `Message-ID` (RFC 5322, section 3.6.4) for a mail with this unique word in it, angle brackets included.
    fn message_id(&self, unique: &str) -> String;

    /// Hands one mail over. When this returns without a fault, the receiving server has taken it.
    async fn deliver(&self, message: MailMessage, message_id: &str) -> Result<(), CallFault>;
}

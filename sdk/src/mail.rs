//! Mail, handed to the host for delivery (`factotum:host/mail-out`).

use crate::Fault;
pub use crate::bindings::factotum::host::mail_out::{Attachment, File, Mailbox, Message, Receipt};

/// Sends one mail.
///
/// # Errors
/// A business fault when policy or the receiving server refuses it, a technical one when the server is not ready.
pub fn send(message: &Message) -> Result<Receipt, Fault> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::factotum::host::mail_out::send(message)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::with(|world| world.send_mail(message))
    }
}

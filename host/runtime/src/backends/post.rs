//! The mailer with the password of the moment: a rotated or newly set secret counts for the next mail, without a restart.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use factotum_egress::{ExposeSecret, SecretString, Secrets};
use factotum_mailer::{MailConfig, Mailer, SetupError};
use factotum_sandbox::{CallFault, FaultKind, MailMessage, MailReceipt};

use super::Courier;

/// A mailer that is made anew when the secret of its password changes.
pub(crate) struct Post {
    config: MailConfig,
    secrets: Arc<dyn Secrets>,
    /// The name of the password's secret, when the server wants one.
    secret: Option<String>,
    /// The mailer and the password it was made with; `None` until the secret is set.
    made: RwLock<Option<(Option<SecretString>, Arc<Mailer>)>>,
}

impl Post {
    /// Checks the configuration. A password that is not set yet is no error: an administrator sets it over the API of
    /// the host that is about to start.
    pub fn new(config: MailConfig, secrets: Arc<dyn Secrets>) -> Result<Self, SetupError> {
        let secret = config.smtp.as_ref().and_then(|smtp| smtp.password_secret.clone());
        let post = Self { config, secrets, secret, made: RwLock::default() };
        match (&post.secret, post.password()) {
            (Some(_), None) => {
                Mailer::new(&post.config, Some(SecretString::from("not set yet")))?;
            }
            (_, password) => {
                post.make(password)?;
            }
        }
        Ok(post)
    }

    fn password(&self) -> Option<SecretString> {
        self.secret.as_deref().and_then(|name| self.secrets.get(name))
    }

    fn make(&self, password: Option<SecretString>) -> Result<Arc<Mailer>, SetupError> {
        let mailer = Arc::new(Mailer::new(&self.config, password.clone())?);
        let made = (password, Arc::clone(&mailer));
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(mailer)
    }

    fn mailer(&self) -> Result<Arc<Mailer>, CallFault> {
        let password = self.password();
        if let (Some(name), None) = (&self.secret, &password) {
            return Err(not_configured(
                format!("the mail server's password, the secret {name:?}, is not set"),
                format!("factotum secret set {name}"),
            ));
        }
        if let Some((with, mailer)) = &*self.made.read().unwrap_or_else(PoisonError::into_inner)
            && with.as_ref().map(ExposeSecret::expose_secret)
                == password.as_ref().map(ExposeSecret::expose_secret)
        {
            return Ok(Arc::clone(mailer));
        }
        self.make(password).map_err(|error| {
            not_configured(error.to_string(), "mend [mail] in the configuration file".into())
        })
    }
}

/// Nothing is wrong with the mail: an administrator can mend it, so the flow may try again.
fn not_configured(message: String, hint: String) -> CallFault {
    CallFault {
        kind: FaultKind::Technical,
        code: "not-configured".into(),
        message,
        hint: Some(hint),
        retry_after_ms: None,
        detail: None,
    }
}

#[async_trait]
impl Courier for Post {
    async fn deliver(&self, message: MailMessage, key: &str) -> Result<MailReceipt, CallFault> {
        let mailer = self.mailer()?;
        mailer.deliver(message, key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Changing(Mutex<Option<&'static str>>);
    impl Secrets for Changing {
        fn get(&self, name: &str) -> Option<SecretString> {
            (*self.0.lock().unwrap()).filter(|_| name == "smtp").map(SecretString::from)
        }
    }

    #[test]
    fn a_password_that_is_set_later_or_changed_is_taken_up() {
        let secrets = Arc::new(Changing(Mutex::new(None)));
        let config = |host: &str| MailConfig {
            sender: "Desk <desk@example.com>".into(),
            outbox: None,
            smtp: Some(
                serde_json::from_value(serde_json::json!({
                    "host": host, "tls": "none", "username": "desk", "password-secret": "smtp",
                }))
                .unwrap(),
            ),
        };
        let post = Post::new(config("127.0.0.1"), Arc::clone(&secrets) as _).unwrap();
        let fault = post.mailer().unwrap_err();
        assert_eq!(
            (fault.kind, fault.hint.as_deref()),
            (FaultKind::Technical, Some("factotum secret set smtp"))
        );
        let with = |password| {
            *secrets.0.lock().unwrap() = Some(password);
            post.mailer().unwrap()
        };
        let first = with("one");
        assert!(Arc::ptr_eq(&first, &with("one")), "an unchanged password keeps the open connections");
        assert!(!Arc::ptr_eq(&first, &with("two")));
        assert!(Post::new(config(""), secrets).is_err(), "what cannot work is still an error at the start");
    }
}

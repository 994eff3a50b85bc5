//! Mail out: SMTP with TLS and authentication, or an outbox folder of .eml files.

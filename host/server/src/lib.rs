//! The binary factotum: HTTP API, webhooks and the command line.

//! The crm plugin.

//! The crm-tryton plugin.

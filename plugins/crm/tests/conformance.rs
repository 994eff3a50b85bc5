//! The tests that every CRM must pass, on the embedded one.

use factotum_sdk::testing;
use plugin_crm::Plugin;

fn setup() -> bool {
    testing::reset();
    true
}

factotum_crm_contract::conformance_tests!(Plugin, setup);

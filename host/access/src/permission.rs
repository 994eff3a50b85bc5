//! The roles, the permissions, and the one table that says which role has which.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything: installs plugins, grants, sets secrets, gives out tokens.
    Admin,
    /// Brings flows in and tries them. A pipeline's role.
    Deployer,
    /// Keeps runs going: looks at them, retries, cancels.
    Operator,
    /// A desk agent: starts flows, sees runs, completes what waits in the inbox.
    Agent,
    /// Reads who did what, and what is installed and granted. Sees no customer's data and changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Admin, Role::Deployer, Role::Operator, Role::Agent, Role::Auditor];

    /// Its name, as the API and the command line write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Deployer => "deployer",
            Role::Operator => "operator",
            Role::Agent => "agent",
            Role::Auditor => "auditor",
        }
    }

    /// Whether the table gives this role a permission.
    #[must_use]
    pub fn has(self, permission: Permission) -> bool {
        permission.row().roles.contains(&self)
    }

    /// The permissions it has, in the table's order.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        PERMISSIONS.iter().filter(move |row| row.roles.contains(&self)).map(|row| row.permission)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            format!("there is no such role; the roles are {}", Role::ALL.map(Role::name).join(", "))
        })
    }
}

/// How far a permission reaches, and so what a token confined to namespaces can do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It acts on things of one namespace: a confined token has it in its own namespaces.
    Namespace,
    /// It acts on the whole host: a confined token does not have it.
    Host,
    /// It shows what everybody who works here may know: a confined token has it as well.
    Common,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionRow {
    /// The permission.
    pub permission: Permission,
    /// Its name, as refusals and the documentation write it.
    pub name: &'static str,
    /// How far it reaches.
    pub reach: Reach,
    /// Who has it.
    pub roles: &'static [Role],
    /// What it allows, in words.
    pub allows: &'static str,
}

use Reach::{Common, Host, Namespace};
use Role::{Admin, Agent, Auditor, Deployer, Operator};

/// Writes the enum and the table from one list, so that a permission without a row, or with two, cannot be written.
macro_rules! permissions {
    ($($variant:ident $name:literal $reach:ident [$($role:ident),*] $allows:literal;)*) => {
        /// Something that the API lets somebody do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Permission {
            $(#[doc = $allows] $variant,)*
        }

        impl Permission {
            /// Its line of the table.
            #[must_use]
            pub const fn row(self) -> &'static PermissionRow {
                match self {
                    $(Permission::$variant => const {
                        &PermissionRow {
                            permission: Permission::$variant,
                            name: $name,
                            reach: $reach,
                            roles: &[$($role),*],
                            allows: $allows,
                        }
                    },)*
                }
            }
        }

        /// Which role may do what. What is not in it is refused.
        pub const PERMISSIONS: &[&PermissionRow] = &[$(Permission::$variant.row()),*];
    };
}

permissions! {
    StatusRead "status.read" Common [Admin, Deployer, Operator, Agent, Auditor] "See how the host is doing.";
    MetricsRead "metrics.read" Host [Admin, Operator] "Read the host's metrics.";

    PluginRead "plugin.read" Common [Admin, Deployer, Operator, Auditor] "See which plugins are installed, what they ask for and what they were granted.";
    PluginManage "plugin.manage" Host [Admin] "Install, upgrade and remove plugins.";
    PluginGrant "plugin.grant" Host [Admin] "Give plugins capabilities and take them back.";
    PluginCall "plugin.call" Host [Admin, Deployer] "Call a plugin's action outside of a flow.";

    FlowRead "flow.read" Namespace [Admin, Deployer, Operator, Agent, Auditor] "See flows.";
    FlowCheck "flow.check" Common [Admin, Deployer] "Have a flow checked without deploying it.";
    FlowDeploy "flow.deploy" Namespace [Admin, Deployer] "Deploy and remove flows.";
    FlowGrant "flow.grant" Host [Admin] "Give flows requests of their own and take them back.";
    FlowRun "flow.run" Namespace [Admin, Deployer, Operator, Agent] "Start a flow.";

    RunList "run.list" Namespace [Admin, Deployer, Operator, Agent, Auditor] "See which runs there are and how they ended, without their data.";
    RunRead "run.read" Namespace [Admin, Deployer, Operator, Agent] "See a run's input, output and artifacts, which hold customers' data.";
    RunControl "run.control" Namespace [Admin, Operator] "Retry, resume, cancel and replay runs.";

    MailboxRead "mailbox.read" Host [Admin, Operator] "See how the mailboxes are doing and what is kept aside in them.";
    MailboxManage "mailbox.manage" Host [Admin, Operator] "Take up messages that were kept aside, or forget them.";

    NoticeRead "notice.read" Host [Admin, Operator] "See which notices to people of the host were not mailed yet.";

    InboxRead "inbox.read" Namespace [Admin, Operator, Agent] "See what waits for a person.";
    InboxComplete "inbox.complete" Namespace [Admin, Agent] "Decide what waits for a person.";

    EventSend "event.send" Host [Admin, Operator, Deployer] "Send an event that may start flows.";
    EventRead "event.read" Host [Admin, Operator] "Read events, which hold customers' data, and watch what happens to runs.";

    CalendarRead "calendar.read" Common [Admin, Deployer, Operator, Agent, Auditor] "See the calendars of business hours that the host keeps.";
    CalendarManage "calendar.manage" Host [Admin] "Set and remove calendars of business hours.";

    SecretList "secret.list" Host [Admin, Deployer, Auditor] "See which secrets there are; never their values.";
    SecretManage "secret.manage" Host [Admin] "Set, rotate and remove secrets; change the master key and the key of payloads.";

    TokenList "token.list" Host [Admin, Auditor] "See which tokens there are and what they may do.";
    TokenManage "token.manage" Host [Admin] "Give out and revoke tokens.";

    AuditRead "audit.read" Host [Admin, Auditor] "Read, verify and export the audit log.";

    StoreCheck "store.check" Host [Admin, Operator, Auditor] "Check the store.";
    StorePurge "store.purge" Host [Admin] "Delete old data for good.";
}

impl Permission {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(role: Role) -> Vec<&'static str> {
        role.permissions().map(Permission::name).collect()
    }

    #[test]
    fn an_admin_has_everything_and_nobody_else_can_make_more_of_himself() {
        assert_eq!(has(Role::Admin).len(), PERMISSIONS.len());
        let raising =
            ["plugin.manage", "plugin.grant", "flow.grant", "secret.manage", "token.manage", "store.purge"];
        for role in [Role::Deployer, Role::Operator, Role::Agent, Role::Auditor] {
            assert!(has(role).iter().all(|name| !raising.contains(name)), "{role}");
        }
    }

    #[test]
    fn an_auditor_reads_and_sees_no_customers_data() {
        for permission in Role::Auditor.permissions() {
            let name = permission.name();
            assert!(name.ends_with(".read") || name.ends_with(".list") || name == "store.check", "{name}");
            assert!(!["run.read", "inbox.read", "metrics.read"].contains(&name), "{name}");
        }
        assert!(Role::Auditor.has(Permission::AuditRead));
    }

    #[test]
    fn a_desk_agent_works_at_the_desk() {
        assert_eq!(
            has(Role::Agent),
            [
                "status.read",
                "flow.read",
                "flow.run",
                "run.list",
                "run.read",
                "inbox.read",
                "inbox.complete",
                "calendar.read"
            ]
        );
    }

    #[test]
    fn names_are_unique_and_roles_are_read_as_written() {
        let mut names: Vec<_> = PERMISSIONS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PERMISSIONS.len());
        for role in Role::ALL {
            assert_eq!(role.name().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert!("root".parse::<Role>().unwrap_err().contains("auditor"));
    }
}

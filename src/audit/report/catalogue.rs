//! The reports there are: what each is called, what it is about, what it can be asked with and which controls it serves.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

/// Which time a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// An instant: `at`, now if left out.
    Instant,
    /// A period: from `from` on, until before `until`; all of it if they are left out.
    Period,
    /// Now, and no other instant.
    Now,
}

/// A parameter beside those that say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Only what is about this environment.
    Environment,
    /// Only what is about this principal.
    Principal,
    /// How many days are too many.
    Days,
}

impl Parameter {
    /// The name that it is asked by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Principal => "principal",
            Self::Days => "days",
        }
    }
}

/// What there is to know about a report before it is asked for.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct ReportCard {
    /// The name that it is asked by.
    pub name: &'static str,
    /// What stands at its head.
    pub title: &'static str,
    /// What it answers, in a sentence.
    pub purpose: &'static str,
    /// Which time it is about.
    pub when: When,
    /// What it can be asked with beside the time.
    pub parameters: &'static [Parameter],
    /// The controls that it serves, each by its standard and number.
    pub controls: &'static [&'static str],
}

macro_rules! reports {
    ($($(#[doc = $doc:literal])+ $report:ident = $name:literal, $title:literal, $when:ident,
        [$($parameter:ident),*], [$($control:literal),*];)*) => {
        /// A report; its name is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ReportName {
            $($(#[doc = $doc])+ $report,)*
        }

        impl ReportName {
            /// Every report, in the order in which auditors go through them.
            pub const ALL: &'static [Self] = &[$(Self::$report),*];

            /// What there is to know about it.
            pub const fn card(self) -> ReportCard {
                match self {
                    $(Self::$report => ReportCard {
                        name: $name,
                        title: $title,
                        purpose: concat!($($doc),+).trim_ascii(),
                        when: When::$when,
                        parameters: &[$(Parameter::$parameter),*],
                        controls: &[$($control),*],
                    },)*
                }
            }
        }
    };
}

reports! {
    /// Who holds which role in which environment, by which rule and since when; principals with access to nothing are in it too.
    Roster = "roster", "Roster of access", Instant, [Environment, Principal],
        ["SOC 2 CC6.1", "SOC 2 CC6.3", "ISO 27001 A.5.15", "ISO 27001 A.5.18", "PCI DSS 7.2.4", "NIST 800-53 AC-2",
         "NIST 800-53 AC-6"];
    /// Who can do the most: owners, managers, and contributors in restricted environments.
    Privileged = "privileged", "Privileged access", Instant, [Environment, Principal],
        ["SOC 2 CC6.1", "SOC 2 CC6.3", "ISO 27001 A.8.2", "PCI DSS 7.2.4", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
    /// Every change of access, numbered: the population that samples are drawn from, each with who made it and why.
    Changes = "changes", "Changes of access", Period, [Environment, Principal],
        ["SOC 2 CC6.2", "SOC 2 CC6.3", "ISO 27001 A.5.18", "NIST 800-53 AC-2"];
    /// Who became a member or was made a service user, who let them in, and what they could reach first.
    Joiners = "joiners", "Joiners", Period, [Principal],
        ["SOC 2 CC6.2", "ISO 27001 A.5.16", "ISO 27001 A.5.18", "NIST 800-53 AC-2"];
    /// Whose membership ended, when their last access of any kind ended, and the minutes between.
    Leavers = "leavers", "Leavers", Period, [Principal],
        ["SOC 2 CC6.2", "ISO 27001 A.5.16", "ISO 27001 A.5.18", "PCI DSS 8.2.5", "NIST 800-53 AC-2"];
    /// Whose workspace role changed, and what they kept from before.
    Movers = "movers", "Movers", Period, [Principal],
        ["SOC 2 CC6.3", "ISO 27001 A.5.18", "PCI DSS 7.2.4", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
    /// Accounts that no person stands behind: their tokens, what they reach, how old they are, when they were used, who made them.
    ServiceUsers = "service-users", "Service users and their tokens", Instant, [Principal],
        ["SOC 2 CC6.1", "ISO 27001 A.5.16", "ISO 27001 A.5.17", "PCI DSS 7.2.5", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
    /// Live tokens and keys that nobody has used for a number of days, or never.
    Dormant = "dormant", "Dormant credentials", Now, [Principal, Days],
        ["SOC 2 CC6.1", "SOC 2 CC6.2", "ISO 27001 A.5.17", "ISO 27001 A.5.18", "PCI DSS 8.2.6", "NIST 800-53 AC-2"];
    /// Live tokens and keys that were made by someone who is no member any more, and whose secret may have left with them.
    Orphans = "orphans", "Orphaned credentials", Instant, [Principal],
        ["SOC 2 CC6.1", "SOC 2 CC6.2", "ISO 27001 A.5.17", "PCI DSS 8.2.5", "NIST 800-53 AC-2"];
    /// Grants that were made without an end, or for longer than a number of days.
    OutsideWindow = "outside-window", "Grants outside the window", Period, [Environment, Principal, Days],
        ["SOC 2 CC6.3", "ISO 27001 A.5.18", "ISO 27001 A.8.2", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
}

impl ReportName {
    /// The name that it is asked by.
    pub const fn as_str(self) -> &'static str {
        self.card().name
    }

    /// Whether it can be asked with a parameter.
    pub fn takes(self, parameter: Parameter) -> bool {
        self.card().parameters.contains(&parameter)
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no report `{0}`; the reports are {names}", names = names())]
pub struct UnknownReport(String);

fn names() -> String {
    let names: Vec<_> = ReportName::ALL.iter().map(|report| format!("`{report}`")).collect();
    names.join(", ")
}

impl FromStr for ReportName {
    type Err = UnknownReport;

    fn from_str(text: &str) -> Result<Self, UnknownReport> {
        let found = Self::ALL.iter().copied().find(|report| report.as_str() == text);
        found.ok_or_else(|| UnknownReport(text.chars().take(80).flat_map(char::escape_debug).collect()))
    }
}

//! The catalogue of reports: the name, title, purpose, time, parameters and controls of each.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

/// The time that a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "When")]
pub enum ReportTime {
    /// An instant: `at`, by default now.
    Instant,
    /// A period: from `from` until just before `until`, by default all of the log.
    Period,
    /// Only now.
    Now,
}

/// A parameter of a report beside those for the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Only rows about this environment.
    Environment,
    /// Only rows about this principal.
    Principal,
    /// A limit in days.
    Days,
}

impl Parameter {
    /// Returns the parameter's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Principal => "principal",
            Self::Days => "days",
        }
    }
}

/// The description of a report.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ReportCard")]
pub struct ReportMetadata {
    /// Its stable name.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its purpose, in a sentence.
    pub purpose: &'static str,
    /// The time that it is about.
    pub when: ReportTime,
    /// Its parameters beside those for the time.
    pub parameters: &'static [Parameter],
    /// The controls that it provides evidence for, each with its standard and number.
    pub controls: &'static [&'static str],
}

macro_rules! reports {
    ($($report:ident = $name:literal, $title:literal, $purpose:literal, $when:ident,
        [$($parameter:ident),*], [$($control:literal),*];)*) => {
        /// A report; its name is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ReportName {
            $(#[doc = $purpose] $report,)*
        }

        impl ReportName {
            /// Every report, in the order in which auditors read them.
            pub const ALL: &'static [Self] = &[$(Self::$report),*];

            /// Returns the report's description.
            pub const fn metadata(self) -> ReportMetadata {
                match self {
                    $(Self::$report => ReportMetadata {
                        name: $name,
                        title: $title,
                        purpose: $purpose,
                        when: ReportTime::$when,
                        parameters: &[$(Parameter::$parameter),*],
                        controls: &[$($control),*],
                    },)*
                }
            }
        }
    };
}

reports! {
    Roster = "roster", "Roster of access",
        "Who holds which role in which environment, by which rule and since when; principals with access to nothing are in it too.",
        Instant, [Environment, Principal],
        ["SOC 2 CC6.1", "SOC 2 CC6.3", "ISO 27001 A.5.15", "ISO 27001 A.5.18", "PCI DSS 7.2.4", "NIST 800-53 AC-2",
         "NIST 800-53 AC-6"];
    Privileged = "privileged", "Privileged access",
        "Who can do the most: owners, managers, and contributors in restricted environments.",
        Instant, [Environment, Principal],
        ["SOC 2 CC6.1", "SOC 2 CC6.3", "ISO 27001 A.8.2", "PCI DSS 7.2.4", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
    Changes = "changes", "Changes of access",
        "Every change of access, numbered: the population that samples are drawn from, each with who made it and why.",
        Period, [Environment, Principal],
        ["SOC 2 CC6.2", "SOC 2 CC6.3", "ISO 27001 A.5.18", "NIST 800-53 AC-2"];
    Joiners = "joiners", "Joiners",
        "Who became a member or was made a service user, who let them in, and what they could reach first.",
        Period, [Principal],
        ["SOC 2 CC6.2", "ISO 27001 A.5.16", "ISO 27001 A.5.18", "NIST 800-53 AC-2"];
    Leavers = "leavers", "Leavers",
        "Whose membership ended, when their last access of any kind ended, and the minutes between.",
        Period, [Principal],
        ["SOC 2 CC6.2", "ISO 27001 A.5.16", "ISO 27001 A.5.18", "PCI DSS 8.2.5", "NIST 800-53 AC-2"];
    Movers = "movers", "Movers",
        "Whose workspace role changed, and what they kept from before.",
        Period, [Principal],
        ["SOC 2 CC6.3", "ISO 27001 A.5.18", "PCI DSS 7.2.4", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
    ServiceUsers = "service-users", "Service users and their tokens",
        "Accounts that no person stands behind: their tokens, what they reach, how old they are, when they were used, who made them.",
        Instant, [Principal],
        ["SOC 2 CC6.1", "ISO 27001 A.5.16", "ISO 27001 A.5.17", "PCI DSS 7.2.5", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
    Dormant = "dormant", "Dormant credentials",
        "Live tokens and keys that nobody has used for a number of days, or never.",
        Now, [Principal, Days],
        ["SOC 2 CC6.1", "SOC 2 CC6.2", "ISO 27001 A.5.17", "ISO 27001 A.5.18", "PCI DSS 8.2.6", "NIST 800-53 AC-2"];
    Orphans = "orphans", "Orphaned credentials",
        "Live tokens and keys that were made by someone who is no member any more, and whose secret may have left with them.",
        Instant, [Principal],
        ["SOC 2 CC6.1", "SOC 2 CC6.2", "ISO 27001 A.5.17", "PCI DSS 8.2.5", "NIST 800-53 AC-2"];
    OutsideWindow = "outside-window", "Grants outside the window",
        "Grants that were made without an end, or for longer than a number of days.",
        Period, [Environment, Principal, Days],
        ["SOC 2 CC6.3", "ISO 27001 A.5.18", "ISO 27001 A.8.2", "NIST 800-53 AC-2", "NIST 800-53 AC-6"];
}

impl ReportName {
    /// Returns the report's stable name.
    pub const fn as_str(self) -> &'static str {
        self.metadata().name
    }

    /// Checks whether the report has a parameter.
    pub fn takes(self, parameter: Parameter) -> bool {
        self.metadata().parameters.contains(&parameter)
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no report has.
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

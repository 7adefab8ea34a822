//! The rows of the table of clouds: the servers, and what answers without one.

use super::kinds;

/// A row.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// The name under which the suite notes what it sees.
    pub(super) name: &'static str,
    pub(super) service: &'static str,
    /// What it was tested against, as people call it. A fake is called one.
    pub(super) against: &'static str,
}

/// The real Ceramic node, which its tests start themselves where it is installed.
pub(super) const CERAMIC_NODE: &str = "ceramic_node";

/// What the tests of the crate `cloud` see without a server of this command; the names are those of
/// the modules in which they run the suite.
pub(super) const WITHOUT: [Row; 11] = [
    Row { name: "conformance::dir", service: "folder", against: "itself" },
    Row { name: "conformance::mem", service: "memory", against: "itself" },
    Row { name: CERAMIC_NODE, service: "Ceramic", against: "js-ceramic 1.11.1, one device" },
    Row {
        name: "cloud::services::ceramic::tests::laws::version_1",
        service: "Ceramic",
        against: "**a fake** of version 1, one device",
    },
    Row {
        name: "cloud::services::ceramic::tests::laws::version_1_between_devices",
        service: "Ceramic",
        against: "**a fake** of version 1, several devices",
    },
    Row {
        name: "cloud::services::ceramic::tests::laws::version_2",
        service: "Ceramic",
        against: "**a fake** of version 2, one device",
    },
    Row {
        name: "cloud::services::ceramic::tests::laws::version_2_between_devices",
        service: "Ceramic",
        against: "**a fake** of version 2, several devices",
    },
    Row {
        name: "services::gcs",
        service: "Google Cloud Storage",
        against: "**a fake** of its XML interface, written from the public reference",
    },
    Row {
        name: "services::dropbox",
        service: "Dropbox",
        against: "**a fake**, written from the public reference",
    },
    Row {
        name: "services::gdrive",
        service: "Google Drive",
        against: "**a fake**, written from the public reference",
    },
    Row {
        name: "services::vss",
        service: "VSS",
        against: "**a fake** that follows the protocol, with the messages of the service's own library",
    },
];

/// All of them, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = Row> {
    let of =
        |kind: &kinds::Kind| Row { name: kind.name, service: kind.service, against: kind.shown };
    kinds::ALL.iter().map(of).chain(WITHOUT)
}

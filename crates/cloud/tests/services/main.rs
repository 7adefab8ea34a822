//! Services whose servers cannot run here, against fakes written from their public references.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

mod answers;
mod bed;
mod dropbox;
mod gcs;
mod gdrive;
mod http;
mod ipfs;
mod limits;
mod s3;
mod slow;
mod tls;
mod vss;
mod vss_exchanges;
mod webdav;
mod webdav_files;

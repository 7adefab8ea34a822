//! The commands for clouds, for what is backed up there, and for the devices that do.

use clap::Subcommand;
use wallet_persistence::CloudUrl;

#[derive(Debug, Subcommand)]
pub(crate) enum Cloud {
    /// Add a cloud: all that the others hold is copied there, then a backup is made
    Add {
        /// Its address
        #[arg(value_parser = super::values::cloud)]
        url: CloudUrl,
    },
    /// List the clouds, and whether each can keep a second writer out, without asking them
    List,
    /// Put no more backups into a cloud; what it holds stays there
    Remove {
        /// Its address
        #[arg(value_parser = super::values::cloud)]
        url: CloudUrl,
    },
    /// Delete everything of this wallet in all its clouds: the backups of every device
    ///
    /// Without --confirm it deletes nothing, and tells what would be deleted and how to confirm that.
    Clear {
        /// The token that was printed: deletes exactly what was shown with it
        #[arg(long, value_name = "TOKEN")]
        confirm: Option<String>,
    },
    /// Try a cloud out: put, read, list and delete an object, and see which conditions it honours
    ///
    /// The wallet is needed for a cloud only where its key takes the place of an account.
    Test {
        /// Its address
        #[arg(value_parser = super::values::cloud)]
        url: CloudUrl,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Device {
    /// List the devices that have backups in the clouds, and when they backed up last
    List,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Backup {
    /// Put everything that is not yet in the clouds there
    Now,
    /// Merge what the other devices of this wallet have put into the clouds
    Poll,
    /// Take the state of the other devices, on one that they no longer count; unsent changes stay
    Rejoin,
    /// Tell what is not yet in the clouds, and when a restore was verified last, without asking them
    Status,
    /// List the chains, dumps and restore points in the clouds, with their sizes and ages
    List {
        /// Also list the newest restore points of each device, N of them [default N: 20]; reads what
        /// lies between them
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
        points: Option<usize>,
    },
    /// Take note of everything suspicious that was found in the clouds; what went back is from then
    /// on measured by what is there
    Acknowledge,
    /// Put what has changed since the last full dump up anew, in one place, whether that is due or
    /// not; it is read back before it counts
    Dump {
        /// Put everything up anew: needs nothing that is in the clouds already
        #[arg(long)]
        full: bool,
    },
}

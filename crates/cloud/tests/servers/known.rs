//! The servers, and which laws each is known not to keep.
//!
//! That a law is broken was observed with the suite; the reasons were found in different ways:
//!
//! - **wsgidav, rclone**: read in their sources. wsgidav (`request_server.py`, `_copy_or_move`) looks
//!   whether the target is there, deletes it and moves, in three steps, and `get_member_list` of
//!   `dav_provider.py` asserts that each name it has listed is still there. rclone serves with
//!   `golang.org/x/net/webdav`, whose `moveFiles` looks, deletes and renames in three steps, and whose
//!   memory of locks knows conditions on locks only.
//! - **Azurite**: read in its source, but not shown to be what was observed. `appendExtent` of
//!   `FSExtentStore` falls back to its first file also while another upload is appending to it, and
//!   takes the position of a blob in the order in which uploads end; one that breaks off truncates
//!   that file. What was observed are bytes of another object, of the same and of other tests.
//! - **s3rver, moto, SeaweedFS**: from outside only, by what they answered and what was read back.
//! - **Apache**: from outside only. Others saw two to five winners of a creation.
//! - **rclone over SFTP**: renames over a file, which the protocol forbids; seen from outside.
//! - **OpenSSH, js-ipfs**: the protocol has no condition for what the law asks; see their pages in the
//!   book. That js-ipfs refuses to move over a file was observed.

/// A server that `cargo xtask servers` may start.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether it lists in pages of a thousand names.
    pub(crate) has_pages: bool,
    exceptions: &'static [(&'static str, Outcome)],
}

/// What becomes of a law.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Holds,
    /// The server breaks it, always; a test says when it no longer does.
    Breaks(&'static str),
    /// The server breaks it, sometimes: it is tried a few times, and what is seen is told.
    Varies(#[expect(dead_code, reason = "for the reader")] &'static str),
}

impl Kind {
    pub(crate) fn expected(&self, law: &str) -> Outcome {
        let exception = self.exceptions.iter().find(|(l, _)| *l == law);
        exception.map_or(Outcome::Holds, |(_, outcome)| *outcome)
    }
}

pub(crate) const SERVERS: &[Kind] = &[
    Kind {
        name: "moto",
        has_pages: true,
        exceptions: &[
            ("law_1_whole", Outcome::Varies("500 for a put while others replace the object")),
            ("wrong_credentials_are_told", Outcome::Breaks("it takes any key")),
        ],
    },
    Kind {
        name: "seaweedfs",
        has_pages: true,
        exceptions: &[(
            "a_missing_bucket_is_not_an_empty_one",
            Outcome::Breaks("it takes every bucket for one that is there"),
        )],
    },
    Kind {
        name: "s3rver",
        // It looks through the whole bucket, and answers 500 while anything goes away in it.
        has_pages: false,
        exceptions: &[
            ("law_1_whole", Outcome::Varies("an object is absent while it is replaced")),
            ("law_4_one_creator_wins", Outcome::Breaks("it ignores If-None-Match")),
            ("law_5_one_replacer_wins", Outcome::Breaks("it ignores If-Match")),
            ("law_5_a_refused_put_changes_nothing", Outcome::Breaks("it refuses no put")),
            ("a_lost_answer_is_harmless", Outcome::Breaks("a second creation is not refused")),
            (
                "a_broken_line_leaves_nothing_half",
                Outcome::Varies("it keeps what came before the line broke"),
            ),
            ("wrong_credentials_are_told", Outcome::Breaks("it lets everybody read")),
            ("it_passes_the_probe", Outcome::Breaks("it ignores both conditions")),
        ],
    },
    Kind {
        name: "azurite",
        has_pages: true,
        exceptions: &[
            // One wins, but what is read may be bytes of another object.
            ("law_4_one_creator_wins", Outcome::Varies("it mixes objects up")),
            ("law_5_one_replacer_wins", Outcome::Varies("it mixes objects up")),
            ("a_broken_line_leaves_nothing_half", Outcome::Varies("it mixes objects up")),
            ("it_passes_the_probe", Outcome::Varies("it mixes objects up")),
        ],
    },
    Kind {
        name: "wsgidav",
        has_pages: false,
        exceptions: &[
            ("law_1_whole", Outcome::Varies("it deletes before it moves over a file")),
            ("law_4_one_creator_wins", Outcome::Varies("it looks and moves in two steps")),
            ("law_5_one_replacer_wins", Outcome::Varies("it looks and moves in two steps")),
            ("it_passes_the_probe", Outcome::Varies("it looks and moves in two steps")),
        ],
    },
    Kind {
        name: "rclone",
        has_pages: false,
        exceptions: &[
            ("law_1_whole", Outcome::Varies("it deletes before it moves over a file")),
            ("law_4_one_creator_wins", Outcome::Varies("it looks and moves in two steps")),
            ("law_5_one_replacer_wins", Outcome::Breaks("it knows no ETag as a condition")),
            (
                "law_5_a_refused_put_changes_nothing",
                Outcome::Breaks("it knows no ETag as a condition, so nothing is replaced on one"),
            ),
            ("it_passes_the_probe", Outcome::Breaks("it knows no ETag as a condition")),
        ],
    },
    Kind {
        name: "apache",
        has_pages: false,
        exceptions: &[
            // In 16 of 60 runs, of which two read an object with the length of another.
            (
                "law_1_whole",
                Outcome::Varies("absent, forbidden, or of another length while it is replaced"),
            ),
            ("law_4_one_creator_wins", Outcome::Varies("it looks and moves in two steps")),
            ("law_5_one_replacer_wins", Outcome::Varies("it looks and moves in two steps")),
            ("it_passes_the_probe", Outcome::Varies("it looks and moves in two steps")),
        ],
    },
    Kind {
        name: "openssh",
        has_pages: false,
        exceptions: &[
            (
                "law_5_one_replacer_wins",
                Outcome::Varies("the protocol has no condition: we look and rename in two steps"),
            ),
            ("it_passes_the_probe", Outcome::Breaks("its limits say so")),
        ],
    },
    Kind {
        name: "rclone-sftp",
        has_pages: false,
        exceptions: &[
            ("law_1_whole", Outcome::Varies("no such file, for an object that is being replaced")),
            ("law_4_one_creator_wins", Outcome::Breaks("its renaming goes over a file")),
            ("law_5_one_replacer_wins", Outcome::Varies("the protocol has no condition")),
            ("law_5_a_refused_put_changes_nothing", Outcome::Breaks("it refuses no creation")),
            ("a_lost_answer_is_harmless", Outcome::Breaks("a second creation is not refused")),
            ("it_passes_the_probe", Outcome::Breaks("its renaming goes over a file")),
        ],
    },
    Kind {
        name: "js-ipfs",
        has_pages: false,
        exceptions: &[
            ("law_1_whole", Outcome::Varies("it does not move over a file: we remove it first")),
            (
                "law_5_one_replacer_wins",
                Outcome::Varies("the interface has no condition: we look and move in two steps"),
            ),
            ("it_passes_the_probe", Outcome::Breaks("its limits say so")),
        ],
    },
];

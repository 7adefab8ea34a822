//! Nothing but tests: `kv-fs` against the stores of LDK's `lightning-persister`, in both directions.
//! A crate of its own, so that nobody compiles LDK unless they ask for it.

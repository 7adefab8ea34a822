//! What LDK asks of a store, by the traits of each version, on stores of each kind.

mod common;
mod tape;

/// The same tests for one version of LDK; the traits differ in name and in how futures are written.
macro_rules! of_ldk {
    ($version:ident, $ldk:ident, $migratable:ident) => {
        mod $version {
            use std::{
                pin::pin,
                sync::Arc,
                task::{Context, Waker},
            };

            use backup::{Policies, Policy, Replicated};
            use kv_core::{
                KvStore as Below, KvStoreExt, Namespace,
                testing::{Fault, FaultyStore, Landing, block_on},
            };
            use kv_fs::{FsStore, Settings, disk::SimDisk};
            use kv_ldk::StrongroomStore;
            use $ldk::{
                io::ErrorKind,
                util::persist::{
                    KVSTORE_NAMESPACE_KEY_ALPHABET, KVSTORE_NAMESPACE_KEY_MAX_LEN, KVStore,
                    KVStoreSync, migrate_kv_store_data, $migratable,
                },
            };

            use crate::{
                common::{
                    cloud_takes_everything,
                    paged::{self, Paged},
                    recorder, sealed, stores,
                },
                tape::Tape,
            };

            fn each(test: impl Fn(&str, &StrongroomStore)) {
                for made in stores() {
                    test(made.name, &StrongroomStore::new(made.store.clone()));
                }
            }

            fn read(store: &StrongroomStore, at: (&str, &str, &str)) -> Option<Vec<u8>> {
                match KVStoreSync::read(store, at.0, at.1, at.2) {
                    Ok(value) => Some(value),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NotFound);
                        None
                    }
                }
            }

            #[test]
            fn values_are_written_read_listed_and_removed() {
                each(|name, store| {
                    let longest = "A".repeat(KVSTORE_NAMESPACE_KEY_MAX_LEN);
                    let places = [
                        ("", "", "manager"),
                        ("monitors", "", "m"),
                        ("monitors", "sub", "m"),
                        (&longest, &longest, &longest),
                        (KVSTORE_NAMESPACE_KEY_ALPHABET, "", KVSTORE_NAMESPACE_KEY_ALPHABET),
                    ];
                    for at in places {
                        assert_eq!(read(store, at), None, "{name}");
                        assert!(KVStoreSync::list(store, at.0, at.1).unwrap().is_empty());
                        KVStoreSync::remove(store, at.0, at.1, at.2, false).unwrap();
                        KVStoreSync::write(store, at.0, at.1, at.2, vec![1; 32]).unwrap();
                        KVStoreSync::write(store, at.0, at.1, at.2, vec![2; 32]).unwrap();
                        assert_eq!(read(store, at), Some(vec![2; 32]), "{name}");
                        assert_eq!(KVStoreSync::list(store, at.0, at.1).unwrap(), [at.2]);
                    }
                    for key in ["z", "a", "m"] {
                        KVStoreSync::write(store, "several", "", key, vec![3]).unwrap();
                    }
                    let listed = KVStoreSync::list(store, "several", "").unwrap();
                    assert_eq!(listed, ["a", "m", "z"], "{name}");
                    assert_eq!(block_on(KVStore::list(store, "several", "")).unwrap(), listed);
                    for at in places {
                        KVStoreSync::remove(store, at.0, at.1, at.2, false).unwrap();
                        assert_eq!(read(store, at), None, "{name}");
                        assert!(KVStoreSync::list(store, at.0, at.1).unwrap().is_empty());
                    }
                });
            }

            #[test]
            fn names_that_break_ldks_rules_are_refused() {
                each(|name, store| {
                    let long = "A".repeat(KVSTORE_NAMESPACE_KEY_MAX_LEN + 1);
                    let bad = [
                        ("", "sub", "key"),
                        ("a", "b", ""),
                        (&long, "", "key"),
                        ("a", &long, "key"),
                        ("a", "", &long),
                        ("a/b", "", "key"),
                        ("~vault", "", "key"),
                        ("a", "", "k.tmp"),
                    ];
                    for at in bad {
                        let outcomes = [
                            KVStoreSync::write(store, at.0, at.1, at.2, vec![1]),
                            KVStoreSync::remove(store, at.0, at.1, at.2, true),
                            KVStoreSync::read(store, at.0, at.1, at.2).map(drop),
                            block_on(KVStore::write(store, at.0, at.1, at.2, vec![1])),
                            block_on(KVStore::read(store, at.0, at.1, at.2)).map(drop),
                        ];
                        for outcome in outcomes {
                            let error = outcome.unwrap_err();
                            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name} {at:?}");
                        }
                    }
                    let listed = KVStoreSync::list(store, "", "sub").unwrap_err();
                    assert_eq!(listed.kind(), ErrorKind::InvalidInput);
                    assert!($migratable::list_all_keys(store).unwrap().is_empty());
                });
            }

            #[test]
            fn the_order_of_calls_counts_and_not_that_of_awaiting() {
                each(|name, store| {
                    let at = ("testspace", "testsubspace", "testkey");
                    let first = KVStore::write(store, at.0, at.1, at.2, vec![42; 32]);
                    let second = KVStore::remove(store, at.0, at.1, at.2, false);
                    let third = KVStore::write(store, at.0, at.1, at.2, vec![43; 32]);
                    block_on(third).unwrap();
                    assert_eq!(read(store, at), Some(vec![43; 32]), "{name}");
                    block_on(second).unwrap();
                    block_on(first).unwrap();
                    assert_eq!(block_on(KVStore::read(store, at.0, at.1, at.2)).unwrap(), [43; 32]);
                    assert_eq!(block_on(KVStore::list(store, at.0, at.1)).unwrap(), [at.2]);
                    block_on(KVStore::remove(store, at.0, at.1, at.2, false)).unwrap();
                    assert!(block_on(KVStore::list(store, at.0, at.1)).unwrap().is_empty());
                    // A future that nobody awaits has been carried out all the same.
                    drop(KVStore::write(store, at.0, at.1, at.2, vec![44]));
                    KVStoreSync::write(store, "other", "", "key", vec![1]).unwrap();
                    assert_eq!(read(store, at), Some(vec![44]), "{name}");
                });
            }

            #[test]
            fn a_lazy_removal_comes_with_the_next_change() {
                each(|name, store| {
                    for key in ["a", "b"] {
                        KVStoreSync::write(store, "updates", "m", key, vec![1]).unwrap();
                        KVStoreSync::remove(store, "updates", "m", key, true).unwrap();
                    }
                    // A later write takes the removal back.
                    KVStoreSync::write(store, "updates", "m", "b", vec![2]).unwrap();
                    assert_eq!(read(store, ("updates", "m", "a")), None, "{name}");
                    assert_eq!(read(store, ("updates", "m", "b")), Some(vec![2]), "{name}");
                    block_on(KVStore::remove(store, "updates", "m", "b", true)).unwrap();
                    store.inner().flush().unwrap();
                    assert!(KVStoreSync::list(store, "updates", "m").unwrap().is_empty());
                });
            }

            #[test]
            fn only_what_ldk_calls_lazy_waits_for_no_disk() {
                let tape = Tape::new();
                let store = StrongroomStore::new(tape.clone());
                KVStoreSync::write(&store, "updates", "m", "a", vec![1]).unwrap();
                assert!(tape.newest_is_synced());
                for lazy in [true, false] {
                    KVStoreSync::remove(&store, "updates", "m", "a", lazy).unwrap();
                    assert_eq!(tape.newest_is_synced(), !lazy);
                    block_on(KVStore::remove(&store, "updates", "m", "a", lazy)).unwrap();
                    assert_eq!(tape.newest_is_synced(), !lazy);
                }
                drop(KVStore::write(&store, "updates", "m", "a", vec![1]));
                assert!(tape.newest_is_synced());
            }

            /// Nothing is written there before somebody waits.
            fn idle(disk: &SimDisk) -> StrongroomStore {
                let files = FsStore::open_alone(disk.mount(), Settings::default()).unwrap();
                StrongroomStore::new(Arc::new(files))
            }

            #[test]
            fn what_was_answered_survives_a_power_cut() {
                let (disk, at) = (SimDisk::new(), ("ns", "", "k"));
                KVStoreSync::write(&idle(&disk), at.0, at.1, at.2, vec![1]).unwrap();
                disk.crash();
                assert_eq!(read(&idle(&disk), at), Some(vec![1]));
                KVStoreSync::remove(&idle(&disk), at.0, at.1, at.2, false).unwrap();
                disk.crash();
                assert_eq!(read(&idle(&disk), at), None);
                // Who awaits is answered when it is written, and not before.
                let store = idle(&disk);
                let mut write = pin!(KVStore::write(&store, at.0, at.1, at.2, vec![2]));
                let mut cx = Context::from_waker(Waker::noop());
                assert!(write.as_mut().poll(&mut cx).is_pending());
                store.inner().flush().unwrap();
                block_on(write).unwrap();
                disk.crash();
                assert_eq!(read(&idle(&disk), at), Some(vec![2]));
            }

            #[test]
            fn a_failure_is_told_and_damage_is_not_taken_for_absence() {
                let fault = Arc::new(Fault::default());
                let below: Arc<dyn Below> = Arc::new(kv_mem::MemStore::new());
                let faulty = Arc::new(FaultyStore::new(below.clone(), fault.clone()));
                let outcomes: [fn(&StrongroomStore) -> Result<(), $ldk::io::Error>; 4] = [
                    |store| KVStoreSync::read(store, "ns", "", "k").map(drop),
                    |store| KVStoreSync::list(store, "ns", "").map(drop),
                    |store| $migratable::list_all_keys(store).map(drop),
                    |store| KVStoreSync::write(store, "ns", "", "k", vec![1]),
                ];
                for outcome in outcomes {
                    fault.fail_nth(1, Landing::Absent);
                    let error = outcome(&StrongroomStore::new(faulty.clone())).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Other, "{error}");
                    assert!(fault.fired());
                }
                let store = StrongroomStore::new(sealed(below.clone()));
                KVStoreSync::write(&store, "ns", "", "k", vec![1; 9]).unwrap();
                for ns in below.namespaces().unwrap().iter().filter(|ns| !ns.is_reserved()) {
                    for key in below.list_all(ns).unwrap() {
                        let mut value = below.read_required(ns, &key).unwrap().to_vec();
                        *value.last_mut().unwrap() ^= 1;
                        below.write(ns, &key, value).unwrap();
                    }
                }
                let error = KVStoreSync::read(&store, "ns", "", "k").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            }

            #[test]
            fn all_data_migrates_between_any_two_stores() {
                let mut expected = Vec::new();
                for (primary, secondary) in [("", ""), ("a", ""), ("a", "x"), ("B", "y")] {
                    for key in ["z", "m", "a"] {
                        expected.push((primary.to_owned(), secondary.to_owned(), key.to_owned()));
                    }
                }
                for from in stores() {
                    let mut from = StrongroomStore::new(from.store.clone());
                    for (n, (primary, secondary, key)) in expected.iter().enumerate() {
                        let value = vec![n as u8; 9];
                        KVStoreSync::write(&from, primary, secondary, key, value).unwrap();
                    }
                    // Of each namespace in the order of creation.
                    let all_of = |store: &StrongroomStore| {
                        let mut all = $migratable::list_all_keys(store).unwrap();
                        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
                        all
                    };
                    let mut sorted = expected.clone();
                    sorted.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
                    assert_eq!(all_of(&from), sorted);
                    for made in stores() {
                        let mut to = StrongroomStore::new(made.store.clone());
                        migrate_kv_store_data(&mut from, &mut to).unwrap();
                        assert_eq!(all_of(&to), sorted, "{}", made.name);
                        for (n, (primary, secondary, key)) in expected.iter().enumerate() {
                            let value = read(&to, (primary, secondary, key));
                            assert_eq!(value, Some(vec![n as u8; 9]));
                        }
                    }
                }
            }

            #[test]
            fn all_data_is_listed_however_small_the_pages_of_the_store_are() {
                let mut store =
                    StrongroomStore::new(Arc::new(Paged(Arc::new(kv_mem::MemStore::new()))));
                let keys = ["z", "m", "a", "y", "b"];
                assert!(keys.len() > 2 * paged::MOST);
                for key in keys {
                    KVStoreSync::write(&store, "ns", "", key, key.into()).unwrap();
                }
                let expected = keys.map(|key| ("ns".to_owned(), String::new(), key.to_owned()));
                assert_eq!($migratable::list_all_keys(&store).unwrap(), expected);
                let mut copy = StrongroomStore::new(Arc::new(kv_mem::MemStore::new()));
                migrate_kv_store_data(&mut store, &mut copy).unwrap();
                assert_eq!($migratable::list_all_keys(&copy).unwrap(), expected);
            }

            #[test]
            fn what_layers_keep_for_themselves_is_not_listed() {
                let below: Arc<dyn Below> = Arc::new(kv_mem::MemStore::new());
                let recorded = StrongroomStore::new(recorder(below.clone()));
                KVStoreSync::write(&recorded, "ns", "", "k", vec![1]).unwrap();
                assert!(below.namespaces().unwrap().iter().any(Namespace::is_reserved));
                // Nobody could write it to another store.
                let names = $migratable::list_all_keys(&StrongroomStore::new(below)).unwrap();
                assert_eq!(names, [("ns".into(), "".into(), "k".into())]);
            }

            #[test]
            fn a_store_that_waits_for_the_cloud_is_refused_to_who_would_block() {
                let recorder = recorder(Arc::new(kv_mem::MemStore::new()));
                let policies = Policies::all(Policy::Replicated);
                let replicated = Replicated::new(recorder.clone(), policies, 10);
                let store = StrongroomStore::new(replicated);
                let refused = [
                    KVStoreSync::write(&store, "monitors", "", "m", vec![1]),
                    KVStoreSync::remove(&store, "monitors", "", "m", false),
                ];
                for outcome in refused {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Other);
                    assert!(error.to_string().contains("ReplicatedPersister"), "{error}");
                }
                assert_eq!(recorder.sequence(), 0, "nothing was written");
                // Who awaits may use it, and reading blocks nobody.
                let write = KVStore::write(&store, "monitors", "", "m", vec![1]);
                cloud_takes_everything(&recorder);
                block_on(write).unwrap();
                assert_eq!(read(&store, ("monitors", "", "m")), Some(vec![1]));
            }

            #[test]
            fn where_only_monitors_wait_only_monitors_are_refused() {
                let recorder = recorder(Arc::new(kv_mem::MemStore::new()));
                let policies = Policies::default().with("monitors", Policy::Replicated);
                let replicated = Replicated::new(recorder.clone(), policies, 10);
                let store = StrongroomStore::new(replicated);
                let refused = KVStoreSync::write(&store, "monitors", "", "m", vec![1]);
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Other);
                let refused = KVStoreSync::remove(&store, "monitors", "", "m", false);
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Other);
                assert_eq!(recorder.sequence(), 0, "nothing was written");
                KVStoreSync::write(&store, "", "", "manager", vec![2]).unwrap();
                assert_eq!(read(&store, ("", "", "manager")), Some(vec![2]));
            }

            #[test]
            fn graph_and_scorer_can_lie_elsewhere_and_hold_up_no_monitor() {
                let recorder = recorder(Arc::new(kv_mem::MemStore::new()));
                let graph: Arc<dyn Below> = Arc::new(kv_mem::MemStore::new());
                let all = StrongroomStore::new(recorder.clone());
                KVStoreSync::write(&all, "", "", "scorer", vec![0]).unwrap();
                cloud_takes_everything(&recorder);
                let mut store = all.with_graph_in(graph.clone());
                assert_eq!(read(&store, ("", "", "scorer")), None, "an old one is not seen");
                KVStoreSync::write(&store, "", "", "network_graph", vec![1; 1000]).unwrap();
                block_on(KVStore::write(&store, "", "", "scorer", vec![2; 1000])).unwrap();
                assert_eq!(recorder.lag().records, 0, "nothing of them is backed up");
                KVStoreSync::write(&store, "monitors", "", "m", vec![3]).unwrap();
                KVStoreSync::write(&store, "", "", "manager", vec![4]).unwrap();
                // Of the same names in other places nothing is taken away.
                KVStoreSync::write(&store, "network_graph", "", "scorer", vec![5]).unwrap();
                assert_eq!(recorder.lag().records, 3);
                assert_eq!(read(&store, ("", "", "network_graph")), Some(vec![1; 1000]));
                assert_eq!(read(&store, ("", "", "scorer")), Some(vec![2; 1000]));
                let mut root = KVStoreSync::list(&store, "", "").unwrap();
                root.sort();
                assert_eq!(root, ["manager", "network_graph", "scorer"]);
                let mut names = $migratable::list_all_keys(&store).unwrap();
                names.sort();
                assert_eq!(names.len(), 5, "{names:?}");
                names.dedup();
                assert_eq!(names.len(), 5, "each once");
                let mut copy = StrongroomStore::new(Arc::new(kv_mem::MemStore::new()));
                migrate_kv_store_data(&mut store, &mut copy).unwrap();
                assert_eq!(read(&copy, ("", "", "scorer")), Some(vec![2; 1000]));
                KVStoreSync::remove(&store, "", "", "scorer", false).unwrap();
                assert_eq!(read(&store, ("", "", "scorer")), None);
                let root = Namespace::new("", "").unwrap();
                assert_eq!(graph.list_all(&root).unwrap().len(), 1);
            }
        }
    };
}

of_ldk!(ldk_0_2, lightning, MigratableKVStore);
#[cfg(feature = "ldk-0-3")]
of_ldk!(ldk_0_3, lightning_0_3, MigratableKVStoreSync);

#[cfg(feature = "ldk-0-3")]
mod pages {
    use std::sync::Arc;

    use kv_core::testing::block_on;
    use kv_ldk::StrongroomStore;
    use kv_mem::MemStore;
    use lightning_0_3::{
        io::ErrorKind,
        util::persist::{
            KVStoreSync, MigratableKVStore, MigratableKVStoreSync, PageToken, PaginatedKVStore,
            PaginatedKVStoreSync, migrate_kv_store_data_async,
        },
    };

    use crate::common::stores;

    #[test]
    fn pages_come_newest_first_and_bear_changes() {
        for made in stores() {
            let store = StrongroomStore::new(made.store.clone());
            let name = |n: usize| format!("key{:04}", (n * 37) % 101);
            for n in 0..101 {
                KVStoreSync::write(&store, "ns", "sub", &name(n), vec![1]).unwrap();
            }
            // An update keeps the place.
            KVStoreSync::write(&store, "ns", "sub", &name(0), vec![2]).unwrap();
            let expected: Vec<_> = (0..101).rev().map(name).collect();
            let first = PaginatedKVStoreSync::list_paginated(&store, "ns", "sub", None).unwrap();
            assert_eq!(first.keys, expected[..50], "{}", made.name);
            // What comes and goes meanwhile changes nothing behind the page.
            KVStoreSync::remove(&store, "ns", "sub", &first.keys[49], false).unwrap();
            KVStoreSync::write(&store, "ns", "sub", "newest", vec![1]).unwrap();
            let token = first.next_page_token;
            let second = block_on(PaginatedKVStore::list_paginated(&store, "ns", "sub", token));
            let second = second.unwrap();
            assert_eq!(second.keys, expected[50..100], "{}", made.name);
            let token = second.next_page_token;
            let third = PaginatedKVStoreSync::list_paginated(&store, "ns", "sub", token).unwrap();
            assert_eq!((third.keys.as_slice(), third.next_page_token), (&expected[100..], None));
            let none = PaginatedKVStoreSync::list_paginated(&store, "none", "", None).unwrap();
            assert!(none.keys.is_empty() && none.next_page_token.is_none());
        }
    }

    #[test]
    fn graph_and_scorer_that_lie_elsewhere_come_last_and_once() {
        let all = StrongroomStore::new(Arc::new(MemStore::new()));
        for key in ["scorer", "network_graph", "manager"] {
            KVStoreSync::write(&all, "", "", key, vec![1]).unwrap();
        }
        for n in 0..60 {
            KVStoreSync::write(&all, "", "", &format!("key{n}"), vec![1]).unwrap();
        }
        // One of them was written again since, so that an old one is on the first page and one on the last.
        KVStoreSync::remove(&all, "", "", "scorer", false).unwrap();
        KVStoreSync::write(&all, "", "", "scorer", vec![2]).unwrap();
        let store = all.with_graph_in(Arc::new(MemStore::new()));
        KVStoreSync::write(&store, "", "", "scorer", vec![3]).unwrap();
        let first = PaginatedKVStoreSync::list_paginated(&store, "", "", None).unwrap();
        let token = first.next_page_token;
        let second = PaginatedKVStoreSync::list_paginated(&store, "", "", token).unwrap();
        let keys = [first.keys, second.keys].concat();
        let is_graph = |key: &&String| ["scorer", "network_graph"].contains(&key.as_str());
        assert_eq!(keys.iter().filter(is_graph).collect::<Vec<_>>(), ["scorer"], "{keys:?}");
        assert_eq!(keys.last().unwrap(), "scorer");
        assert_eq!((keys.len(), second.next_page_token), (62, None));
    }

    #[test]
    fn a_token_of_another_store_is_refused() {
        for made in stores() {
            let store = StrongroomStore::new(made.store.clone());
            for token in ["", "0001706500000000:key", "99999999999999999999999", "-1"] {
                let token = Some(PageToken::new(token.to_owned()));
                let outcome = PaginatedKVStoreSync::list_paginated(&store, "ns", "", token);
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
            }
        }
    }

    #[test]
    fn data_migrates_by_the_awaited_traits() {
        let mut all = stores().into_iter();
        let from = all.next().unwrap();
        let from = StrongroomStore::new(from.store.clone());
        for key in ["b", "a"] {
            KVStoreSync::write(&from, "ns", "", key, key.into()).unwrap();
        }
        for made in all {
            let to = StrongroomStore::new(made.store.clone());
            block_on(migrate_kv_store_data_async(&from, &to)).unwrap();
            let names = block_on(MigratableKVStore::list_all_keys(&to)).unwrap();
            assert_eq!(names, MigratableKVStoreSync::list_all_keys(&from).unwrap());
            assert_eq!(KVStoreSync::read(&to, "ns", "", "a").unwrap(), b"a");
        }
    }
}

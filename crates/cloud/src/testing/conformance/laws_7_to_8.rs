//! Listings, names and sizes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use backup::ObjectName;

use super::{list, name, put, read, run};
use crate::testing::Testbed;

/// All of the prefix and nothing else, in order, with sizes, from any start.
pub fn law_7_listings_are_complete_and_ascending<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        assert!(list(&*cloud, &name("p")).await.is_empty());
        // Folders, and names that sort between a folder's name and what is in it.
        let mut below: BTreeSet<ObjectName> =
            ["p/a-b", "p/a.b", "p/a/b/c", "p/a/d", "p/a0", "p/z"].map(name).into();
        below.extend((0..40).map(|n| name(&format!("p/n/{}/{:03}", n % 3, n * 7 % 40))));
        let foreign = ["o", "p-q/a", "p.q", "p0/a", "pp", "q/p/a"].map(name);
        for (i, object) in below.iter().chain(&foreign).enumerate() {
            put(&*cloud, object, vec![0; i]).await;
        }
        let below: Vec<ObjectName> = below.into_iter().collect();
        let prefix = name("p");
        assert_eq!(list(&*cloud, &prefix).await, below);
        assert_eq!(list(&*bed.open(), &prefix).await, below);
        // Who knows how many names a full page has may stop at one with fewer.
        if let Some(full) = cloud.limits().full_page {
            let mut last: Option<ObjectName> = None;
            loop {
                let page = cloud.list(&prefix, last.as_ref()).await.unwrap();
                last = page.last().map(|meta| meta.name.clone()).or(last);
                if page.len() < full {
                    break;
                }
            }
            assert_eq!(last.as_ref(), below.last(), "a page that is not full is not the last");
        }
        // From each name on, and from names that are not there.
        for (i, after) in below.iter().enumerate() {
            let page = cloud.list(&prefix, Some(after)).await.unwrap();
            let got: Vec<_> = page.iter().map(|m| (&m.name, m.size)).collect();
            let rest: Vec<_> =
                below.iter().enumerate().map(|(i, n)| (n, i as u64)).skip(i + 1).collect();
            assert!(rest.starts_with(&got), "after {after}: {got:?}");
            assert_eq!(got.is_empty(), rest.is_empty(), "after {after}");
        }
        for (after, next) in [
            ("a", "p/a-b"),
            ("p", "p/a-b"),
            ("p/a", "p/a-b"),
            ("p/a.c", "p/a/b/c"),
            ("p/a/c", "p/a/d"),
        ] {
            let page = cloud.list(&prefix, Some(&name(after))).await.unwrap();
            assert_eq!(page.first().unwrap().name, name(next), "after {after}");
        }
        for after in ["p/zz", "p0", "z"] {
            let page = cloud.list(&prefix, Some(&name(after))).await.unwrap();
            assert!(page.is_empty(), "after {after}: {page:?}");
        }
        // Whole parts, deeper prefixes, and an object's own name, which nothing lies below.
        let deeper = ["p/a/b/c", "p/a/d"].map(name);
        assert_eq!(list(&*cloud, &name("p/a")).await, deeper);
        for nothing in ["p/z", "p/x", "none"] {
            assert!(list(&*cloud, &name(nothing)).await.is_empty(), "{nothing}");
        }
    });
}

/// What stays is in a listing exactly once, while its neighbours come and go.
pub fn law_7_listings_bear_change<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let stays: Vec<ObjectName> = (0..20).map(|n| name(&format!("p/{n:02}"))).collect();
        for object in &stays {
            put(&*cloud, object, "stays").await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let (other, ended) = (bed.open(), done.clone());
        let change = tokio::spawn(async move {
            for n in 0..20 {
                let comes = name(&format!("p/{n:02}-comes"));
                put(&*other, &comes, "comes").await;
                if n % 2 == 0 {
                    other.delete(&comes).await.unwrap();
                }
            }
            ended.store(true, Ordering::SeqCst);
        });
        loop {
            let last = done.load(Ordering::SeqCst);
            let got = list(&*cloud, &name("p")).await;
            let stayed = got.iter().filter(|n| !n.as_str().ends_with("-comes"));
            assert!(stayed.eq(&stays), "{got:?}");
            if last {
                assert_eq!(got.len(), 30);
                break;
            }
        }
        change.await.unwrap();
    });
}

/// Names of every kind, and objects from nothing to 8 MiB.
pub fn law_8_names_and_sizes_are_free<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let long = ["l".repeat(200), "o".repeat(200), "n".repeat(105)].join("/");
        let odd = [
            "-",
            "0",
            "_",
            "a..b",
            "a.",
            "con",
            "com1.txt",
            "index.html",
            "x.tmp",
            "e/lock",
            "e/nul",
            "e/-/_/0",
            "e/aux./b",
            &long,
        ];
        let odd: Vec<ObjectName> = odd.iter().map(|n| name(n)).collect();
        for object in &odd {
            put(&*cloud, object, object.to_string()).await;
        }
        for object in &odd {
            let (bytes, _) = read(&*cloud, object).await.unwrap();
            assert_eq!(bytes, object.as_str().as_bytes());
        }
        let below = ["e/-/_/0", "e/aux./b", "e/lock", "e/nul"].map(name);
        assert_eq!(list(&*cloud, &name("e")).await, below);
        let first = name(&"l".repeat(200));
        assert_eq!(list(&*cloud, &first).await, [name(&long)]);

        let largest = usize::try_from(cloud.limits().largest_object).unwrap_or(usize::MAX);
        for size in [0, 1, 4096, 1 << 20, 8 << 20] {
            let size = size.min(largest);
            // No block of it is like another.
            let bytes: Vec<u8> = (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect();
            let object = name(&format!("size/{size}/x"));
            put(&*cloud, &object, bytes.clone()).await;
            let (found, _) = read(&*bed.open(), &object).await.unwrap();
            assert!(found == bytes, "{size} bytes");
            let prefix = name(&format!("size/{size}"));
            let page = cloud.list(&prefix, None).await.unwrap();
            let sizes: Vec<u64> = page.iter().map(|meta| meta.size).collect();
            assert_eq!(sizes, [size as u64]);
        }
    });
}

//! Whole, durable, and seen by the next read.

use super::{list, name, patiently, put, read, run};
use crate::{CloudError, PutMode, testing::Testbed};

/// While four tasks overwrite one object, everybody sees exactly what one of them put, or an error
/// for the moment.
pub fn law_1_whole<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let object = name("a/contested");
        let size = |writer: u8| 40_000 * usize::from(writer);
        put(&*bed.open(), &object, vec![1; size(1)]).await;
        let mut writers = Vec::new();
        for writer in 1..=4u8 {
            let (cloud, object) = (bed.open(), object.clone());
            writers.push(tokio::spawn(async move {
                for _ in 0..6 {
                    put(&*cloud, &object, vec![writer; size(writer)]).await;
                }
            }));
        }
        let cloud = bed.open();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let found = patiently(async || cloud.get(&object).await).await;
            let (bytes, _) = found.expect("it is never absent");
            let writer = *bytes.first().unwrap();
            assert_eq!(bytes.len(), size(writer));
            assert!(bytes.iter().all(|b| *b == writer), "two puts are mixed");
            let page = patiently(async || cloud.list(&name("a"), None).await).await;
            assert!(page.iter().all(|meta| meta.name == object));
            assert!((1..=4).any(|w| page.iter().all(|meta| meta.size == size(w) as u64)));
        }
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// After closing and opening again, objects are there, and their tags still hold.
pub fn law_2_durable_once_answered<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let objects = ["a/b/c/d", "a/b/e", "f"].map(name);
        let cloud = bed.open();
        let mut tags = Vec::new();
        for object in &objects {
            tags.push(put(&*cloud, object, object.to_string()).await);
        }
        drop(cloud);
        let cloud = bed.open();
        for (object, tag) in objects.iter().zip(tags) {
            let expected = (object.to_string().into_bytes(), tag.clone());
            assert_eq!(read(&*cloud, object).await, Some(expected));
            let replaced = cloud.put(object, "new".into(), PutMode::Replace(tag)).await;
            // A service that knows no condition says so, and law 5 is where that counts.
            let holds = matches!(replaced, Ok(_) | Err(CloudError::TooOld { .. }));
            assert!(holds, "{replaced:?}");
        }
        assert_eq!(list(&*cloud, &name("a")).await, objects[..2]);
    });
}

/// Put, get, overwrite, get, delete, get: over one handle and another.
pub fn law_3_reads_see_the_last_put<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let (cloud, other) = (bed.open(), bed.open());
        let (object, neighbour) = (name("a/b"), name("a/c"));
        for nothing in ["a", "a/b", "a/b/c"] {
            assert_eq!(read(&*cloud, &name(nothing)).await, None);
        }
        put(&*cloud, &neighbour, "neighbour").await;
        let mut tags = Vec::new();
        for bytes in ["first", "other", "1"] {
            let tag = put(&*cloud, &object, bytes).await;
            let expected = Some((bytes.as_bytes().to_vec(), tag.clone()));
            assert_eq!(read(&*cloud, &object).await, expected);
            assert_eq!(read(&*other, &object).await, expected);
            assert!(!tags.contains(&tag), "different bytes have different tags");
            tags.push(tag);
        }
        other.delete(&object).await.unwrap();
        assert_eq!(read(&*cloud, &object).await, None);
        assert_eq!(read(&*cloud, &name("a/b/c")).await, None);
        put(&*other, &object, "again").await;
        assert_eq!(read(&*cloud, &object).await.unwrap().0, b"again");
        assert_eq!(read(&*cloud, &neighbour).await.unwrap().0, b"neighbour");
    });
}

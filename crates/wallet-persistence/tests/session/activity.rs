//! Clicks and visits: by time, page and origin, and how many there are of each.

use wallet_persistence::{ActivityFilter, BadData, Error};

use crate::common::{NOW, alone, two};

#[tokio::test]
async fn clicks_are_found_by_time_page_and_origin() {
    let device = alone().await;
    let pages = ["https://a.org/1", "https://a.org/2", "https://b.org/1", "https://A.org:443/1"];
    for (page, n) in pages.into_iter().zip(0..) {
        device.clock.set(wallet_persistence::Timestamp(NOW + n));
        device.session.add_click(page, Some("#buy")).await.unwrap();
    }
    let times = |filter: &ActivityFilter| -> Vec<u64> {
        device.session.clicks(filter).unwrap().iter().map(|click| click.time - NOW).collect()
    };
    let all = ActivityFilter::new;
    assert_eq!(times(&all()), [3, 2, 1, 0], "newest first");
    assert_eq!(times(&all().limit(2)), [3, 2]);
    assert_eq!(times(&all().since(NOW + 1).until(NOW + 3)), [2, 1]);
    assert_eq!(times(&all().url("https://a.org/1").unwrap()), [3, 0], "one spelling");
    assert_eq!(times(&all().url("https://a.org/1").unwrap().since(NOW + 1)), [3]);
    assert_eq!(times(&all().origin("https://a.org").unwrap()), [3, 1, 0]);
    assert_eq!(times(&all().origin("https://a.org/x").unwrap().until(NOW + 1)), [0]);
    assert_eq!(times(&all().origin("http://a.org").unwrap()), [] as [u64; 0]);
    let bad = device.session.add_click("example", None).await;
    assert!(matches!(bad, Err(Error::BadData(BadData::Url))), "{bad:?}");
    assert_eq!(device.session.clicks(&all()).unwrap()[0].element.as_deref(), Some("#buy"));
}

#[tokio::test]
async fn visits_are_counted_by_page_and_by_origin() {
    let device = alone().await;
    let pages = ["https://a.org/1", "https://a.org/2", "https://b.org/1", "https://a.org/1"];
    for (page, n) in pages.into_iter().zip(0..) {
        device.session.add_visit(page, NOW + n, NOW + 2 * n).await.unwrap();
    }
    let all = ActivityFilter::new();
    let by_url = device.session.visits_by_url(&all).unwrap();
    let expected = [("https://a.org/1", 2), ("https://a.org/2", 1), ("https://b.org/1", 1)];
    assert!(by_url.iter().map(|(url, n)| (url.as_str(), *n)).eq(expected), "{by_url:?}");
    let by_origin = device.session.visits_by_origin(&all).unwrap();
    let expected = [("https://a.org", 3), ("https://b.org", 1)];
    assert!(by_origin.iter().map(|(url, n)| (url.as_str(), *n)).eq(expected), "{by_origin:?}");
    let late = ActivityFilter::new().since(NOW + 1);
    assert_eq!(device.session.visits_by_url(&late).unwrap()["https://a.org/1"], 1);
    let visits = device.session.visits(&late.limit(1)).unwrap();
    assert_eq!((visits[0].start, visits[0].end), (NOW + 3, NOW + 6));
    let bad = device.session.add_visit("https://a.org", NOW, NOW - 1).await;
    assert!(matches!(bad, Err(Error::BadData(BadData::Times))), "{bad:?}");
}

/// What the original lost: two of them within one second, or within one millisecond.
#[tokio::test]
async fn what_happens_at_one_moment_on_two_devices_is_all_kept() {
    let (a, b) = two().await;
    for device in [&a, &b] {
        for _ in 0..2 {
            device.session.add_visit("https://a.org", NOW, NOW).await.unwrap();
            device.session.add_click("https://a.org", None).await.unwrap();
        }
        device.post().await;
    }
    a.poll().await;
    b.poll().await;
    for device in [&a, &b] {
        assert_eq!(device.session.visits(&ActivityFilter::new()).unwrap().len(), 4);
        assert_eq!(device.session.clicks(&ActivityFilter::new()).unwrap().len(), 4);
    }
    assert_eq!(a.digest().await, b.digest().await);
}

//! The profile: get, set and clear, each value checked, and an age that follows from the birthday.

use wallet_persistence::{BadProfileValue, Error, ProfileField, Timestamp};

use crate::common::{DAY, NOW, alone};

#[tokio::test]
async fn each_field_is_set_read_and_cleared() {
    let device = alone().await;
    let good = ["36", "1815-12-10", "ada@example.org", "Lovelace", "female", "Ada", "London"];
    for (field, value) in ProfileField::ALL.into_iter().zip(good) {
        assert_eq!(device.session.profile(field).unwrap(), None, "{field}");
        device.session.set_profile(field, &format!(" {value} ")).await.unwrap();
        assert_eq!(device.session.profile(field).unwrap().as_deref(), Some(value));
        let bad = device.session.set_profile(field, "\n").await;
        assert!(matches!(bad, Err(Error::BadProfileValue(BadProfileValue::Text))), "{bad:?}");
        assert_eq!(device.session.profile(field).unwrap().as_deref(), Some(value));
        device.session.clear_profile(field).await.unwrap();
        assert_eq!(device.session.profile(field).unwrap(), None, "{field}");
    }
}

#[tokio::test]
async fn an_age_that_is_not_set_follows_from_the_birthday() {
    let device = alone().await;
    let age = || device.session.profile(ProfileField::Age).unwrap();
    // 14 November 2023.
    device.clock.set(Timestamp(NOW));
    device.session.set_profile(ProfileField::Birthday, "1990-11-15").await.unwrap();
    assert_eq!(age().as_deref(), Some("32"));
    device.clock.advance(DAY);
    assert_eq!(age().as_deref(), Some("33"));
    device.session.set_profile(ProfileField::Age, "29").await.unwrap();
    assert_eq!(age().as_deref(), Some("29"), "what is set counts");
    device.session.clear_profile(ProfileField::Age).await.unwrap();
    assert_eq!(age().as_deref(), Some("33"));
    device.session.clear_profile(ProfileField::Birthday).await.unwrap();
    assert_eq!(age(), None);
}

#[tokio::test]
async fn a_birthday_lies_in_the_past() {
    let device = alone().await;
    let set = |date| device.session.set_profile(ProfileField::Birthday, date);
    // It is tomorrow already in some places, and nowhere the day after.
    set("2023-11-15").await.unwrap();
    assert_eq!(device.session.profile(ProfileField::Age).unwrap(), None);
    let future = set("2023-11-16").await;
    assert!(matches!(future, Err(Error::BadProfileValue(BadProfileValue::Future))), "{future:?}");
}

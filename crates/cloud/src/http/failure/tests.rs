//! Each status leads to one reaction.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Failure {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let status = StatusCode::from_u16(status).unwrap();
    Answer::for_tests(status, map, body.into()).failure()
}

#[test]
fn each_status_leads_to_one_reaction() {
    let name = ObjectName::new("a/b").unwrap();
    let kind = |e: CloudError| format!("{e:?}").split(' ').next().unwrap().to_owned();
    for (status, object, cloud) in [
        (301, "BadAddress", "BadAddress"),
        (307, "BadAddress", "BadAddress"),
        (400, "Refused", "BadAddress"),
        (401, "Unauthorized", "Unauthorized"),
        (402, "Full", "Full"),
        (403, "Unauthorized", "Unauthorized"),
        (404, "BadAddress", "BadAddress"),
        (405, "TooOld", "TooOld"),
        (407, "Unauthorized", "Unauthorized"),
        (408, "Unavailable", "Unavailable"),
        (413, "Refused", "BadAddress"),
        (414, "Refused", "BadAddress"),
        (423, "Unavailable", "Unavailable"),
        (425, "Unavailable", "Unavailable"),
        (429, "Unavailable", "Unavailable"),
        (500, "Unavailable", "Unavailable"),
        (501, "TooOld", "TooOld"),
        (502, "Unavailable", "Unavailable"),
        (503, "Unavailable", "Unavailable"),
        (504, "Unavailable", "Unavailable"),
        (507, "Full", "Full"),
    ] {
        let failure = answer(status, &[], "");
        assert_eq!(failure.status().unwrap().as_u16(), status);
        assert_eq!(kind(failure.clone().about(&name)), object, "{status}");
        assert_eq!(kind(failure.about_cloud()), cloud, "{status}");
    }
}

#[test]
fn the_wish_of_a_service_is_seconds_or_a_date_by_its_own_clock() {
    let wish = |headers: &[(&'static str, &str)]| match answer(503, headers, "").about_cloud() {
        CloudError::Unavailable { retry_after, .. } => retry_after,
        other => panic!("{other:?}"),
    };
    let now = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!(wish(&[]), None);
    assert_eq!(wish(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
    assert_eq!(wish(&[("retry-after", "99999999")]), Some(LONGEST_WISH));
    let date = ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT");
    assert_eq!(wish(&[date, now]), Some(Duration::from_secs(30)));
    assert_eq!(
        wish(&[now, ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")]),
        Some(Duration::ZERO)
    );
    assert_eq!(wish(&[date]), None);
    assert_eq!(wish(&[("retry-after", "soon"), now]), None);
}

#[test]
fn messages_say_what_the_service_said() {
    let text = |status, headers, body| answer(status, headers, body).to_string();
    assert_eq!(text(503, &[], ""), "the service answered 503 Service Unavailable");
    assert_eq!(text(400, &[], "<a>no\nway</a>"), "the service answered 400 Bad Request: no way");
    let place = ("location", "https://elsewhere.example/x?signature=abc");
    assert_eq!(
        text(302, &[place], "<html>"),
        "the service sends us to https://elsewhere.example/x: use that address"
    );
}

#[test]
fn what_is_taken_for_busy_keeps_the_wish_of_the_service() {
    let failure = answer(409, &[("retry-after", "7")], "too many writes");
    match failure.into_busy().into_busy().about_cloud() {
        CloudError::Unavailable { retry_after, .. } => {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
        other => panic!("{other:?}"),
    }
}

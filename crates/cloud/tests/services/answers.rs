//! Answers that are not what they seem: cut off, of somebody else, or in words of their own.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use cloud::{
    Access, CloudBackend, CloudError, CloudUrl, ObjectName, PutMode, Secrets, Tag, open_cloud_with,
    testing::{FakeAnswer, FakeRequest, FakeServer},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::bed::open;

const VARIABLES: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "key"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("STRONGROOM_DROPBOX_TOKEN", "a-token-of-dropbox"),
    ("STRONGROOM_GDRIVE_TOKEN", "a-token-of-drive"),
];

const S3: &str = "s3://bucket?endpoint=http://{server}";
const WEBDAV: &str = "webdav+http://{server}/dav";
const DROPBOX: &str = "dropbox:/x?endpoint=http://{server}";
const DRIVE: &str = "gdrive:x?endpoint=http://{server}";

/// A cloud whose service answers so, and the service.
fn served(
    url: &str,
    handler: impl Fn(FakeRequest) -> FakeAnswer + Send + Sync + 'static,
) -> (FakeServer, Arc<dyn CloudBackend>) {
    let server = FakeServer::start(handler).unwrap();
    let variables = VARIABLES.map(|(name, value)| (name, value.to_owned()));
    let url = url.replace("{server}", &server.address().to_string());
    (server, open(&url, BTreeMap::from(variables)))
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn assert_transient<T: std::fmt::Debug>(outcome: Result<T, CloudError>) {
    assert!(outcome.as_ref().is_err_and(CloudError::is_transient), "{outcome:?}");
}

fn file(path: &str, size: usize) -> String {
    format!(
        "<response><href>{path}</href><propstat><prop><resourcetype/>\
         <getcontentlength>{size}</getcontentlength></prop></propstat></response>"
    )
}

/// Such a body ends where the connection does, whatever it is that ended that.
#[tokio::test]
async fn a_body_without_an_end_of_its_own_must_have_the_size_of_the_file() {
    for (body, is_whole) in [("twelve bytes", true), ("twelve by", false), ("", false)] {
        let (_server, cloud) = served(WEBDAV, move |request| match request.method.as_str() {
            "GET" => FakeAnswer::new(200).body(body).to_the_end_of_the_connection(),
            _ => FakeAnswer::new(207)
                .body(format!("<multistatus>{}</multistatus>", file("/dav/a/b", 12))),
        });
        match is_whole {
            true => assert_eq!(cloud.get(&name("a/b")).await.unwrap().unwrap().0, body),
            false => assert_transient(cloud.get(&name("a/b")).await),
        }
    }
}

/// Without the folder in it, the files in it would pass for the folder, and it would look empty.
#[tokio::test]
async fn a_list_without_the_folder_itself_is_not_an_empty_folder() {
    let files = file("/dav/a/b", 1) + &file("/dav/a/c", 1);
    let (_server, cloud) = served(WEBDAV, move |_| {
        FakeAnswer::new(207).body(format!("<multistatus>{files}</multistatus>"))
    });
    assert_transient(cloud.list(&name("a"), None).await);
}

#[tokio::test]
async fn a_page_for_people_says_nothing_about_an_object() {
    for (kind, body) in [("text/html", "<html>no such page</html>"), ("application/xml", "<Error>")]
    {
        let (_server, cloud) =
            served(S3, move |_| FakeAnswer::new(404).header("content-type", kind).body(body));
        let got = cloud.get(&name("a/b")).await;
        let how = PutMode::Replace(Tag::new("\"old\""));
        let put = cloud.put(&name("a/b"), "x".into(), how).await;
        if kind == "text/html" {
            assert!(matches!(got, Err(CloudError::BadAddress { .. })), "{got:?}");
            assert!(matches!(put, Err(CloudError::BadAddress { .. })), "{put:?}");
        } else {
            assert_eq!(got.unwrap(), None);
            assert!(matches!(put, Err(CloudError::Conflict { .. })), "{put:?}");
        }
    }
}

/// The most common mistake there is with S3.
#[tokio::test]
async fn a_wrong_region_or_bucket_is_a_wrong_address_and_no_object_that_cannot_be_kept() {
    for code in ["AuthorizationHeaderMalformed", "InvalidBucketName"] {
        let said =
            format!("<Error><Code>{code}</Code><Message>expecting 'eu-west-1'</Message></Error>");
        let (_server, cloud) = served(S3, move |_| FakeAnswer::new(400).body(said.clone()));
        let put = cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await;
        let error = put.unwrap_err();
        assert!(matches!(error, CloudError::BadAddress { .. }), "{code}: {error:?}");
        assert!(error.source().unwrap().to_string().contains("eu-west-1"), "{error:?}");
    }
}

/// S3 answers 409 also where two requests met and nobody knows yet who wins: perhaps nobody.
#[tokio::test]
async fn requests_that_met_are_no_conflict_yet() {
    for (code, is_settled) in [("ConditionalRequestConflict", false), ("OtherConflict", true)] {
        let said = format!("<Error><Code>{code}</Code></Error>");
        let (_server, cloud) = served(S3, move |_| FakeAnswer::new(409).body(said.clone()));
        let put = cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await;
        match is_settled {
            true => assert!(matches!(put, Err(CloudError::Conflict { .. })), "{put:?}"),
            false => assert_transient(put),
        }
    }
}

/// A node that fails in the middle has said 200 already.
#[tokio::test]
async fn a_file_of_ipfs_has_as_many_bytes_as_it_should() {
    for (body, is_whole) in [("twelve bytes", true), ("twelve by", false)] {
        let (_server, cloud) = served("ipfs+http://{server}/x", move |request| {
            let said = json!({"Hash": "bafy", "Size": 12, "Type": "file"}).to_string();
            FakeAnswer::new(200).body(match request.path.as_str() {
                "/api/v0/cat" => body.to_owned(),
                _ => said,
            })
        });
        let got = cloud.get(&name("a/b")).await;
        if is_whole { assert!(got.unwrap().is_some()) } else { assert_transient(got) }
    }
}

#[tokio::test]
async fn a_token_that_is_none_asks_to_sign_in_again() {
    let said = "Error in call to API function \"files/download\": The given OAuth 2 access token is \
                malformed.";
    let (_server, cloud) = served(DROPBOX, move |_| FakeAnswer::new(400).body(said));
    for error in [
        cloud.get(&name("a/b")).await.unwrap_err(),
        cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await.unwrap_err(),
    ] {
        assert!(matches!(error, CloudError::Unauthorized { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_of_dropbox_has_as_many_bytes_as_it_should() {
    for (size, is_whole) in [(12, true), (13, false)] {
        let described = json!({"rev": "1", "size": size}).to_string();
        let (_server, cloud) = served(DROPBOX, move |_| {
            FakeAnswer::new(200).header("dropbox-api-result", &described).body("twelve bytes")
        });
        let got = cloud.get(&name("a/b")).await;
        if is_whole { assert!(got.unwrap().is_some()) } else { assert_transient(got) }
    }
}

#[tokio::test]
async fn a_file_of_drive_has_the_bytes_that_were_listed() {
    for (listed, is_whole) in [("twelve bytes", true), ("other", false)] {
        let checksum = data_encoding::HEXLOWER.encode(&Sha256::digest(listed));
        let (_server, cloud) = served(DRIVE, move |request| match request.parameter("alt") {
            Some(_) => FakeAnswer::new(200).body("twelve bytes"),
            None => FakeAnswer::new(200).body(
                json!({"files": [{"id": "1", "name": "x/a/b", "sha256Checksum": checksum}]})
                    .to_string(),
            ),
        });
        let got = cloud.get(&name("a/b")).await;
        if is_whole { assert!(got.unwrap().is_some()) } else { assert_transient(got) }
    }
}

/// One that has ended (404 or 410) begins anew, and a limit of the day is over some day.
#[tokio::test]
async fn an_upload_that_has_gone_and_a_limit_of_the_day_pass() {
    for status in [404, 410] {
        let (_server, cloud) = served(DRIVE, move |request| match request.parameter("upload_id") {
            Some(_) => FakeAnswer::new(status),
            None => {
                let place = format!("http://{}/x?upload_id=1", request.header("host").unwrap());
                FakeAnswer::new(200).header("location", &place)
            }
        });
        let large = vec![7; 5 << 20];
        assert_transient(cloud.put(&name("a/b"), large.into(), PutMode::CreateOnly).await);
    }
    let said = json!({"error": {"errors": [{"reason": "dailyLimitExceeded"}]}}).to_string();
    let (_server, cloud) = served(DRIVE, move |_| FakeAnswer::new(403).body(said.clone()));
    assert_transient(cloud.get(&name("a/b")).await);
}

#[tokio::test]
async fn a_password_without_a_user_is_not_left_out_silently() {
    let mut access = Access::default();
    let password = |name: &str| (name == "STRONGROOM_WEBDAV_PASSWORD").then(|| "secret".to_owned());
    access.secrets = Secrets::new(password);
    let url = CloudUrl::parse("webdav+https://host/dav").unwrap();
    let error = open_cloud_with(&url, &access).await.unwrap_err();
    assert!(matches!(error, CloudError::Unauthorized { .. }), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("STRONGROOM_WEBDAV_USER"), "{error:?}");
}

/// In a form a secret is written with percent signs, and as such it is one, too.
#[tokio::test]
async fn no_error_repeats_a_refresh_token_as_it_stands_in_a_form() {
    let server = FakeServer::start(|request| FakeAnswer::new(400).body(request.body)).unwrap();
    let mut variables = BTreeMap::from([("STRONGROOM_DROPBOX_APP_KEY", "app".to_owned())]);
    variables.insert("STRONGROOM_DROPBOX_REFRESH_TOKEN", "1//secret/token+of".to_owned());
    let cloud = open(&DROPBOX.replace("{server}", &server.address().to_string()), variables);
    let error = cloud.get(&name("a/b")).await.unwrap_err();
    let text = format!("{error:?} {}", error.source().unwrap());
    assert!(text.contains("refresh_token=***") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn no_error_repeats_a_secret_from_the_place_it_is_sent_to() {
    let (_server, cloud) = served(DROPBOX, |request| {
        let token = request.header("authorization").unwrap().rsplit(' ').next().unwrap().to_owned();
        FakeAnswer::new(302).header("location", &format!("https://elsewhere/login/{token}"))
    });
    let error = cloud.get(&name("a/b")).await.unwrap_err();
    let text = format!("{error:?} {}", error.source().unwrap());
    assert!(text.contains("elsewhere") && !text.contains("a-token-of-dropbox"), "{text}");
}

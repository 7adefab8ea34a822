//! What S3 and its like say in errors and listings.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use cloud::{
    CloudBackend, CloudError, ObjectName, PutMode,
    testing::{FakeAnswer, FakeRequest, FakeServer},
};

use crate::bed::open;

const TOKEN: &str = "a-session-token-of-some-length";

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn s3(server: &FakeServer) -> Arc<dyn CloudBackend> {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", TOKEN),
    ];
    let variables = variables.map(|(name, value)| (name, value.to_owned()));
    open(&format!("s3://bucket?endpoint=http://{}", server.address()), BTreeMap::from(variables))
}

/// All that an error shows to anybody.
fn all_of(error: &CloudError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = Error::source(error);
    while let Some(cause) = next {
        text += &format!(" {cause} {cause:?}");
        next = cause.source();
    }
    text
}

/// Keys for some hours are what `aws sso login` gives: when they have ended, the user signs in again.
#[tokio::test]
async fn keys_that_have_ended_ask_to_sign_in_again_and_no_error_repeats_them() {
    for code in ["ExpiredToken", "InvalidToken"] {
        let server = FakeServer::start(move |request| {
            // As the service does it, and what it was sent besides.
            let signed = request.header("authorization").unwrap_or_default();
            let token = request.header("x-amz-security-token").unwrap_or_default();
            FakeAnswer::new(400).body(format!(
                "<Error><Code>{code}</Code><Message>The provided token has expired.</Message>\
                 <Token-0>{token}</Token-0><S>{}</S></Error>",
                signed.rsplit('=').next().unwrap()
            ))
        });
        let server = server.unwrap();
        let cloud = s3(&server);
        let how = PutMode::CreateOnly;
        for error in [
            cloud.get(&name("a/b")).await.unwrap_err(),
            cloud.put(&name("a/b"), "x".into(), how).await.unwrap_err(),
            cloud.list(&name("a"), None).await.unwrap_err(),
        ] {
            assert!(matches!(error, CloudError::Unauthorized { .. }), "{error:?}");
            let text = all_of(&error);
            assert!(text.contains(code) && !text.contains(TOKEN), "{text}");
            assert_eq!(text.matches("***").count() % 2, 0, "token and signature: {text}");
            assert!(text.contains("***"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_the_code_says_counts_more_than_the_status() {
    let kind = |e: &CloudError| format!("{e:?}").split(' ').next().unwrap().to_owned();
    for (status, code, expected) in [
        (400, "RequestTimeout", "Unavailable"),
        (403, "QuotaExceeded", "Full"),
        (400, "XMinioAdminBucketQuotaExceeded", "Full"),
        (403, "AccessDenied", "Unauthorized"),
        (400, "InvalidArgument", "Refused"),
    ] {
        let body = format!("<Error><Code>{code}</Code></Error>");
        let server = FakeServer::start(move |_| FakeAnswer::new(status).body(body.clone()));
        let server = server.unwrap();
        let put = s3(&server).put(&name("a/b"), "x".into(), PutMode::CreateOnly).await;
        assert_eq!(kind(&put.unwrap_err()), expected, "{code}");
    }
}

/// A shared access signature stands in the address, which servers like to repeat.
#[tokio::test]
async fn no_error_repeats_a_signature_of_an_address() {
    let signature = "abc/defg+hijklmnop=";
    let server = FakeServer::start(move |request: FakeRequest| {
        FakeAnswer::new(403).body(format!("not {} nor {signature}", request.query))
    });
    let server = server.unwrap();
    let sas = "sv=2024-01-01&sig=abc%2Fdefg%2Bhijklmnop%3D";
    let variables = BTreeMap::from([("AZURE_STORAGE_SAS_TOKEN", sas.to_owned())]);
    let url = format!("az://container?account=me&endpoint=http://{}", server.address());
    let error = open(&url, variables).get(&name("a/b")).await.unwrap_err();
    assert!(matches!(error, CloudError::Unauthorized { .. }), "{error:?}");
    let text = all_of(&error);
    assert!(text.contains("***") && !text.contains("hijklmnop"), "{text}");
}

/// Some servers take what an answer shall begin after for a place in their own order.
#[tokio::test]
async fn a_server_that_begins_before_the_name_is_asked_for_everything() {
    let server = FakeServer::start(|request| {
        let names: &[&str] = match request.parameter("start-after") {
            // In its own order these are what follows.
            Some(_) => &["p/a", "p/d"],
            None => &["p/a", "p/b", "p/c", "p/d"],
        };
        let contents = names.iter().map(|name| {
            format!(
                "<Contents><Key>{name}</Key><Size>1</Size>\
                 <LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            )
        });
        FakeAnswer::new(200).header("content-type", "application/xml").body(format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
            contents.collect::<String>()
        ))
    });
    let server = server.unwrap();
    let listed = s3(&server).list(&name("p"), Some(&name("p/b"))).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|meta| meta.name.as_str()).collect();
    assert_eq!(names, ["p/c", "p/d"]);
}

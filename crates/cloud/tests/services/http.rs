//! What the HTTP stack promises, seen through a cloud that uses it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cloud::{
    Access, CloudBackend, CloudError, CloudUrl, ObjectName, PutMode, Secrets, open_cloud_with,
    testing::{FakeAnswer, FakeRequest, FakeServer},
};

const PASSWORD: &str = "hunter2-hunter2";

fn name() -> ObjectName {
    ObjectName::new("a/b").unwrap()
}

async fn webdav(server: &FakeServer, access: Access) -> Arc<dyn CloudBackend> {
    let url = format!("webdav+http://user@{}/dav", server.address());
    open_cloud_with(&CloudUrl::parse(&url).unwrap(), &access).await.unwrap()
}

fn access() -> Access {
    let mut access = Access::default();
    access.secrets =
        Secrets::new(|name| (name == "STRONGROOM_WEBDAV_PASSWORD").then(|| PASSWORD.to_owned()));
    access
}

async fn answers(answer: FakeAnswer) -> CloudError {
    let server = FakeServer::start(move |_| answer.clone()).unwrap();
    webdav(&server, access()).await.get(&name()).await.unwrap_err()
}

#[tokio::test]
async fn a_full_account_is_told_as_such() {
    let server = FakeServer::start(|request| match request.method.as_str() {
        "PUT" => FakeAnswer::new(507).body("<d:error>Quota exceeded</d:error>"),
        _ => FakeAnswer::new(201),
    });
    let server = server.unwrap();
    let cloud = webdav(&server, access()).await;
    let error = cloud.put(&name(), "x".into(), PutMode::CreateOnly).await.unwrap_err();
    assert!(matches!(error, CloudError::Full { .. }), "{error:?}");
}

#[tokio::test]
async fn the_wish_of_a_service_comes_with_the_error() {
    for status in [429, 503] {
        let error = answers(FakeAnswer::new(status).header("retry-after", "17")).await;
        let CloudError::Unavailable { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(17)));
    }
}

#[tokio::test]
async fn no_error_repeats_the_password() {
    // Servers of all kinds write what they got into their error pages.
    let echo = |request: FakeRequest| {
        FakeAnswer::new(400).body(format!("{:?} and {PASSWORD}", request.headers))
    };
    let server = FakeServer::start(echo).unwrap();
    let error = webdav(&server, access()).await.get(&name()).await.unwrap_err();
    let mut text = format!("{error} {error:?}");
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text += &format!(" {cause} {cause:?}");
        next = cause.source();
    }
    assert!(text.contains("authorization") && text.contains("***"), "{text}");
    let encoded = data_encoding::BASE64.encode(format!("user:{PASSWORD}").as_bytes());
    assert!(!text.contains("hunter2") && !text.contains(&encoded), "{text}");
}

#[tokio::test]
async fn a_redirection_is_not_followed_with_credentials() {
    let stolen: Arc<Mutex<Vec<FakeRequest>>> = Arc::default();
    let theirs = stolen.clone();
    let other = FakeServer::start(move |request| {
        theirs.lock().unwrap().push(request);
        FakeAnswer::new(200)
    });
    let other = other.unwrap();
    let place = format!("http://{}/dav?token=secret", other.address());
    let error = answers(FakeAnswer::new(307).header("location", &place)).await;
    assert!(matches!(error, CloudError::BadAddress { .. }), "{error:?}");
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains(&other.address().to_string()) && !text.contains("token"), "{text}");
    assert!(stolen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_empty_cloud() {
    let page = "<html><body><p>Welcome to our <b>Wi-Fi</b></p></body></html>";
    for status in [200, 207] {
        let html = FakeAnswer::new(status).header("content-type", "text/html").body(page);
        let server = FakeServer::start(move |_| html.clone()).unwrap();
        let cloud = webdav(&server, access()).await;
        let listed = cloud.list(&ObjectName::new("a").unwrap(), None).await;
        assert!(listed.as_ref().is_err_and(CloudError::is_transient), "{listed:?}");
        let got = cloud.get(&name()).await;
        assert!(got.as_ref().is_err_and(CloudError::is_transient), "{got:?}");
        let put = cloud.put(&name(), "x".into(), PutMode::CreateOnly).await;
        assert!(put.as_ref().is_err_and(CloudError::is_transient), "{put:?}");
    }
}

#[tokio::test]
async fn a_proxy_is_used_and_its_password_is_kept() {
    let seen: Arc<Mutex<Vec<FakeRequest>>> = Arc::default();
    let requests = seen.clone();
    let proxy = FakeServer::start(move |request| {
        requests.lock().unwrap().push(request);
        FakeAnswer::new(200).body("from afar")
    });
    let proxy = proxy.unwrap();
    let mut access = access();
    access.http.proxy = Some(format!("http://me:proxy-password@{}", proxy.address()));
    assert!(!format!("{access:?}").contains("proxy-password"));
    let url = CloudUrl::parse("webdav+http://user@host.invalid/dav").unwrap();
    let cloud = open_cloud_with(&url, &access).await.unwrap();
    assert_eq!(cloud.get(&name()).await.unwrap().unwrap().0, "from afar");
    let requests = seen.lock().unwrap();
    assert_eq!(requests[0].path, "http://host.invalid/dav/a/b");
    assert!(requests[0].header("proxy-authorization").is_some());
    assert!(!format!("{cloud:?}").contains("proxy-password"));
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let server = FakeServer::start(|_| FakeAnswer::new(200)).unwrap();
    let cloud = webdav(&server, access()).await;
    drop(server);
    let error = cloud.get(&name()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = FakeServer::start(|_| FakeAnswer::new(200).body("x")).unwrap();
    let line = cloud::testing::Line::to(server.address()).unwrap();
    let url = format!("webdav+http://user@{}/dav", line.address());
    let cloud = open_cloud_with(&CloudUrl::parse(&url).unwrap(), &access()).await.unwrap();
    for _ in 0..10 {
        assert!(cloud.get(&name()).await.unwrap().is_some());
    }
    assert_eq!(line.connections(), 1);
}

#[tokio::test]
async fn without_credentials_the_error_says_where_they_are_looked_for() {
    for (url, hint) in [
        #[cfg(feature = "webdav")]
        ("webdav+https://user@host/dav", "STRONGROOM_WEBDAV_PASSWORD"),
        #[cfg(feature = "s3")]
        ("s3://bucket", "AWS_ACCESS_KEY_ID"),
        #[cfg(feature = "gcs")]
        ("gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS"),
        #[cfg(feature = "azure")]
        ("az://container?account=me", "AZURE_STORAGE_KEY"),
    ] {
        let mut access = Access::default();
        access.secrets = Secrets::new(|_| None);
        let opened = open_cloud_with(&CloudUrl::parse(url).unwrap(), &access).await;
        let error = opened.unwrap_err();
        assert!(matches!(error, CloudError::Unauthorized { .. }), "{error:?}");
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(text.contains(hint), "{url}: {text}");
    }
}

/// Below the retries, which settle what may have happened, nothing is sent a second time.
#[tokio::test]
async fn a_request_whose_answer_is_lost_is_sent_once() {
    let puts: Arc<AtomicUsize> = Arc::default();
    let count = puts.clone();
    let server = FakeServer::start(move |request| {
        count.fetch_add(usize::from(request.method == "PUT"), Ordering::Relaxed);
        FakeAnswer::new(201)
    });
    let server = server.unwrap();
    let line = cloud::testing::Line::to(server.address()).unwrap();
    let url = format!("webdav+http://user@{}/dav", line.address());
    let cloud = open_cloud_with(&CloudUrl::parse(&url).unwrap(), &access()).await.unwrap();
    // On a connection that was used before clients are tempted to try again.
    cloud.put(&name(), "x".into(), PutMode::CreateOnly).await.unwrap();
    line.set(cloud::testing::Trouble::LosesAnswers);
    let error = cloud.put(&name(), "x".into(), PutMode::CreateOnly).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(puts.load(Ordering::Relaxed), 2);
}

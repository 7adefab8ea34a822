//! VSS by recorded exchanges: the exact bytes that go and come.
//!
//! `vectors/vss-exchanges.jsonl` was written from the protocol's definition, `vss.proto` of the
//! [server](https://github.com/lightningdevkit/vss-server), by an encoder of its own, neither ours nor
//! that of the service's library; statuses and texts are those of the server's sources, and what
//! follows upon what is as in its test suite (`kv_store_tests.rs`). No server was asked for them.
//! The ids are placeholders: a client makes new ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cloud::{
    CloudBackend, CloudError, ObjectName, PutMode,
    testing::{FakeAnswer, FakeRequest, FakeServer},
};
use serde::Deserialize;
use vss_client_ng::{
    prost::Message,
    types::{
        ErrorResponse, GetObjectRequest, GetObjectResponse, ListKeyVersionsRequest,
        ListKeyVersionsResponse, PutObjectRequest, PutObjectResponse,
    },
};

use crate::bed::open;

#[derive(Debug, Clone, Deserialize)]
struct Exchange {
    about: String,
    call: String,
    #[serde(deserialize_with = "hex")]
    request: Vec<u8>,
    status: u16,
    #[serde(deserialize_with = "hex")]
    answer: Vec<u8>,
}

fn hex<'a, D: serde::Deserializer<'a>>(text: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(text)?;
    data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

fn exchanges() -> Vec<Exchange> {
    let lines = include_str!("vectors/vss-exchanges.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Plays the server's part of one exchange after the other.
struct Player {
    left: Vec<Exchange>,
    /// What stands for the placeholders.
    ids: BTreeMap<u8, Vec<u8>>,
}

impl Player {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        let exchange = self.left.remove(0);
        let about = &exchange.about;
        assert_eq!(request.method, "POST", "{about}");
        assert_eq!(request.path, format!("/vss/{}", exchange.call), "{about}");
        assert_eq!(request.header("content-type"), Some("application/octet-stream"), "{about}");
        assert_eq!(request.header("authorization"), Some("Bearer a-token"), "{about}");
        self.learn(&exchange.request, &request.body);
        let expected = self.with_ids(&exchange.request);
        assert_eq!(hex_of(&request.body), hex_of(&expected), "{about}");
        let answer = FakeAnswer::new(exchange.status).header("vss-protocol-version", "0");
        answer.body(self.with_ids(&exchange.answer))
    }

    /// Takes the client's ids from where the placeholders are for the first time.
    fn learn(&mut self, recorded: &[u8], sent: &[u8]) {
        for (at, id) in placeholders(recorded) {
            let sent = sent.get(at..at + ID).unwrap_or_default().to_vec();
            self.ids.entry(id).or_insert(sent);
        }
    }

    fn with_ids(&self, recorded: &[u8]) -> Vec<u8> {
        let mut bytes = recorded.to_vec();
        for (at, id) in placeholders(recorded) {
            if let Some(id) = self.ids.get(&id) {
                bytes.splice(at..at + ID, id.iter().copied());
            }
        }
        bytes
    }
}

/// An id has so many characters.
const ID: usize = 32;

/// Where the same letter stands so often, and which.
fn placeholders(bytes: &[u8]) -> Vec<(usize, u8)> {
    let runs = bytes.windows(ID).enumerate();
    let same = |window: &[u8]| window.iter().all(|b| *b == window[0]);
    runs.filter(|(_, w)| b"abcd".contains(&w[0]) && same(w)).map(|(at, w)| (at, w[0])).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[tokio::test]
async fn our_client_sends_and_takes_exactly_these_bytes() {
    let player = Arc::new(Mutex::new(Player { left: exchanges(), ids: BTreeMap::new() }));
    let players = player.clone();
    let server =
        FakeServer::start(move |request| players.lock().unwrap().answer(&request)).unwrap();
    let token = [("STRONGROOM_VSS_TOKEN", "a-token".to_owned())];
    let cloud: Arc<dyn CloudBackend> =
        open(&format!("vss+http://{}/vss", server.address()), token.into());
    let name = ObjectName::new("a/b").unwrap();

    let tag = cloud.put(&name, "first".into(), PutMode::CreateOnly).await.unwrap();
    let again = cloud.put(&name, "other".into(), PutMode::CreateOnly).await;
    assert!(matches!(again, Err(CloudError::Conflict { .. })), "{again:?}");
    let got = cloud.get(&name).await.unwrap().unwrap();
    assert_eq!((&got.0[..], &got.1), (&b"first"[..], &tag));
    let bytes: Vec<u8> = (0..=255).cycle().take(512).collect();
    let newer = cloud.put(&name, bytes.clone().into(), PutMode::Replace(tag.clone())).await;
    let newer = newer.unwrap();
    assert_ne!(newer, tag);
    let late = cloud.put(&name, "late".into(), PutMode::Replace(tag)).await;
    assert!(matches!(late, Err(CloudError::Conflict { .. })), "{late:?}");
    let listed = cloud.list(&ObjectName::new("a").unwrap(), None).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|meta| (meta.name.as_str(), meta.size)).collect();
    assert_eq!(listed, [("a/b", 512), ("a/c_d", 0)]);
    cloud.delete(&name).await.unwrap();
    assert!(cloud.get(&name).await.unwrap().is_none());
    assert_eq!(cloud.get(&name).await.unwrap().unwrap().0, "first");
    let unknown = cloud.get(&name).await;
    assert!(matches!(unknown, Err(CloudError::Unauthorized { .. })), "{unknown:?}");
    let invalid = cloud.get(&name).await;
    assert!(matches!(invalid, Err(CloudError::TooOld { .. })), "{invalid:?}");
    let failing = cloud.get(&name).await.unwrap_err();
    assert!(failing.is_transient(), "{failing:?}");
    assert!(cloud.get(&name).await.is_err());
    assert!(player.lock().unwrap().left.is_empty());
}

/// The service's own library reads every message and writes it again to the same bytes.
#[test]
fn these_bytes_are_messages_of_the_services_own_library() {
    for exchange in exchanges() {
        let (request, answer) = (&exchange.request[..], &exchange.answer[..]);
        let is_ok = exchange.status == 200;
        let (request_again, answer_again) = match exchange.call.as_str() {
            "getObject" => (
                again::<GetObjectRequest>(request),
                is_ok.then(|| again::<GetObjectResponse>(answer)),
            ),
            "putObjects" => (
                again::<PutObjectRequest>(request),
                is_ok.then(|| again::<PutObjectResponse>(answer)),
            ),
            _ => (
                again::<ListKeyVersionsRequest>(request),
                is_ok.then(|| again::<ListKeyVersionsResponse>(answer)),
            ),
        };
        let answer_again = answer_again.unwrap_or_else(|| again::<ErrorResponse>(answer));
        assert_eq!(request_again.as_deref(), Some(request), "{}", exchange.about);
        match exchange.about.as_str() {
            "no message at all" => assert_eq!(answer_again, None),
            // It drops what it does not know.
            about if about.contains("not known yet") => {
                assert!(answer.starts_with(&answer_again.unwrap()), "{about}");
            }
            about => assert_eq!(answer_again.as_deref(), Some(answer), "{about}"),
        }
    }
}

fn again<M: Message + Default>(bytes: &[u8]) -> Option<Vec<u8>> {
    M::decode(bytes).ok().map(|message| message.encode_to_vec())
}

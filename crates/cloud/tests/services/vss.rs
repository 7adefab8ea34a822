//! VSS against a fake that follows its protocol, with the messages of its own client library.
//!
//! Written from `vss.proto` and the server's behaviour: transactions with a version for each key,
//! deletions that conflict with what is not there, listings newest first that take `_` for any
//! character, and signatures as its default authorizer checks them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use cloud::{
    Access, CloudIdentity, CloudUrl, ObjectName, PutMode, Secrets, open_cloud_with,
    testing::{FakeAnswer, FakeRequest, FakeServer, Testbed},
};
use k256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
use sha2::{Digest, Sha256};
use vss_client_ng::{
    prost::Message,
    types::{
        ErrorCode, ErrorResponse, GetObjectRequest, GetObjectResponse, KeyValue,
        ListKeyVersionsRequest, ListKeyVersionsResponse, PutObjectRequest, PutObjectResponse,
    },
};

use crate::bed::FakeBed;

const TOKEN: &str = "a-token-that-is-right";

/// Keys per answer of a listing; the server gives up to a hundred.
const PAGE: usize = 7;

#[derive(Default)]
struct Server {
    /// By user and store.
    stores: BTreeMap<(String, String), Store>,
    last: u64,
}

#[derive(Default)]
struct Store {
    keys: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    version: i64,
    value: Vec<u8>,
    created: u64,
}

type Outcome<T> = Result<T, (u16, ErrorCode)>;

const CONFLICT: (u16, ErrorCode) = (409, ErrorCode::ConflictException);
const INVALID: (u16, ErrorCode) = (400, ErrorCode::InvalidRequestException);

impl Server {
    fn handle(&mut self, request: &FakeRequest) -> FakeAnswer {
        assert_eq!(request.method, "POST");
        let (status, body) = match self.try_to(request) {
            Ok(body) => (200, body),
            Err((status, code)) => {
                let message = format!("{code:?}");
                (status, ErrorResponse { error_code: code as i32, message }.encode_to_vec())
            }
        };
        FakeAnswer::new(status).header("vss-protocol-version", "0").body(body)
    }

    fn try_to(&mut self, request: &FakeRequest) -> Outcome<Vec<u8>> {
        let user = user(request.header("authorization").unwrap_or_default())
            .ok_or((401, ErrorCode::AuthException))?;
        let body = request.body.clone();
        match request.path.strip_prefix("/vss/").unwrap() {
            "getObject" => {
                let asked = GetObjectRequest::decode(body).map_err(|_| INVALID)?;
                let store = self.stores.entry((user, asked.store_id)).or_default();
                let entry = store.keys.get(&asked.key);
                let entry = entry.ok_or((404, ErrorCode::NoSuchKeyException))?;
                let (version, value) = (entry.version, entry.value.clone());
                let found = KeyValue { key: asked.key, version, value };
                Ok(GetObjectResponse { value: Some(found) }.encode_to_vec())
            }
            "putObjects" => {
                let asked = PutObjectRequest::decode(body).map_err(|_| INVALID)?;
                self.last += 1;
                let store = self.stores.entry((user, asked.store_id.clone())).or_default();
                store.put(&asked, self.last)?;
                Ok(PutObjectResponse {}.encode_to_vec())
            }
            "listKeyVersions" => {
                let asked = ListKeyVersionsRequest::decode(body).map_err(|_| INVALID)?;
                let store = self.stores.entry((user, asked.store_id.clone())).or_default();
                Ok(store.list(&asked).encode_to_vec())
            }
            other => panic!("no call of the interface: {other}"),
        }
    }
}

impl Store {
    fn put(&mut self, asked: &PutObjectRequest, now: u64) -> Outcome<()> {
        let (puts, deletes) = (&asked.transaction_items, &asked.delete_items);
        let all = puts.iter().chain(deletes).map(|item| &item.key);
        let distinct: BTreeSet<_> = all.clone().collect();
        let too_long = distinct.iter().any(|key| key.len() > 600 || key.is_empty());
        if distinct.len() != all.count() || distinct.len() > 1000 || too_long {
            return Err(INVALID);
        }
        // Else two that touch the same keys wait for each other for ever.
        assert!(puts.is_sorted_by_key(|item| &item.key));
        let version = |key: &String| self.keys.get(key).map(|entry| entry.version);
        for item in puts {
            let fits = item.version == -1 || version(&item.key).unwrap_or(0) == item.version;
            if !fits {
                return Err(CONFLICT);
            }
        }
        for item in deletes {
            match version(&item.key) {
                Some(found) if item.version == -1 || item.version == found => {}
                // The definition says that this is a conflict, the server's store in memory does not.
                None if item.version == -1 => {}
                _ => return Err(CONFLICT),
            }
        }
        for item in deletes {
            self.keys.remove(&item.key);
        }
        for item in puts {
            let created = self.keys.get(&item.key).map_or(now, |entry| entry.created);
            let version = if item.version == -1 { 1 } else { item.version + 1 };
            let entry = Entry { version, value: item.value.clone(), created };
            self.keys.insert(item.key.clone(), entry);
        }
        Ok(())
    }

    fn list(&self, asked: &ListKeyVersionsRequest) -> ListKeyVersionsResponse {
        let prefix = asked.key_prefix.clone().unwrap_or_default();
        let like = |key: &str| {
            key.len() >= prefix.len()
                && prefix.bytes().zip(key.bytes()).all(|(a, b)| a == b'_' || a == b)
        };
        let mut found: Vec<_> = self.keys.iter().filter(|(key, _)| like(key)).collect();
        found.sort_by_key(|(key, entry)| (std::cmp::Reverse(entry.created), (*key).clone()));
        let after = asked.page_token.as_deref().unwrap_or_default();
        let begin = found.iter().position(|(key, _)| **key == after).map_or(0, |at| at + 1);
        let page: Vec<_> = found.iter().skip(begin).take(PAGE).collect();
        let is_last = begin + page.len() == found.len();
        let next = page.last().filter(|_| !is_last).map(|(key, _)| (*key).clone());
        let keys = page.iter().map(|(key, entry)| KeyValue {
            key: (*key).clone(),
            version: entry.version,
            value: Vec::new(),
        });
        ListKeyVersionsResponse {
            key_versions: keys.collect(),
            next_page_token: Some(next.unwrap_or_default()),
            global_version: after.is_empty().then_some(0),
        }
    }
}

/// Who asks: by a token, or by the key that has signed.
fn user(header: &str) -> Option<String> {
    if header == format!("Bearer {TOKEN}") {
        return Some("by token".to_owned());
    }
    let decode = |part: Option<&str>| data_encoding::HEXLOWER.decode(part?.as_bytes()).ok();
    let (public, signature) = (decode(header.get(..66))?, decode(header.get(66..194))?);
    let mut hash = Sha256::new();
    hash.update(b"VSS Signature Authorizer Signing Salt Constant..................");
    hash.update(&public);
    hash.update(header.get(194..)?);
    let key = VerifyingKey::from_sec1_bytes(&public).ok()?;
    key.verify_prehash(&hash.finalize(), &Signature::from_slice(&signature).ok()?).ok()?;
    Some(data_encoding::HEXLOWER.encode(&public))
}

const URL: &str = "vss+http://{line}/vss";

fn bed() -> FakeBed {
    let server: Arc<Mutex<Server>> = Arc::default();
    FakeBed::new(URL, None, move |request| server.lock().unwrap().handle(&request)).secret(
        "STRONGROOM_VSS_TOKEN",
        TOKEN,
        "a-token-that-is-wrong",
    )
}

cloud::remote_conformance!(super::vss::bed);

#[tokio::test]
async fn a_wallet_is_known_by_its_own_key() {
    let server: Arc<Mutex<Server>> = Arc::default();
    let fake = FakeServer::start(move |request| server.lock().unwrap().handle(&request)).unwrap();
    let url = CloudUrl::parse(&URL.replace("{line}", &fake.address().to_string())).unwrap();
    assert!(url.needs_identity());
    let mut access = Access::default();
    access.secrets = Secrets::new(|_| None);
    assert!(open_cloud_with(&url, &access).await.is_err());
    let mut clouds = Vec::new();
    for secret in [1, 2] {
        access.identity = Some(CloudIdentity::new(&[secret; 32]));
        clouds.push(open_cloud_with(&url, &access).await.unwrap());
    }
    let name = ObjectName::new("a/b").unwrap();
    clouds[0].put(&name, "mine".into(), PutMode::CreateOnly).await.unwrap();
    assert_eq!(clouds[0].get(&name).await.unwrap().unwrap().0, "mine");
    assert!(clouds[1].get(&name).await.unwrap().is_none());
}

/// A version alone begins at 1 again after a deletion.
#[tokio::test]
async fn a_deleted_object_that_is_made_anew_is_another_one() {
    let bed = bed();
    let cloud = bed.open();
    let name = ObjectName::new("a/b").unwrap();
    let old = cloud.put(&name, "x".into(), PutMode::CreateOnly).await.unwrap();
    cloud.delete(&name).await.unwrap();
    let new = cloud.put(&name, "x".into(), PutMode::CreateOnly).await.unwrap();
    assert_ne!(old, new);
    assert!(cloud.put(&name, "y".into(), PutMode::Replace(old)).await.is_err());
    cloud.put(&name, "y".into(), PutMode::Replace(new)).await.unwrap();
}

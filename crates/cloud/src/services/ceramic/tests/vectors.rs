//! Exchanges between the JavaScript client and a node of version 1.11.1, recorded on the wire: ours
//! come out equal to the byte.

use data_encoding::BASE64_NOPAD;
use ed25519_dalek::{Verifier, VerifyingKey};
use serde_json::{Value, json};

use super::{
    super::{
        cid::{Cid, StreamId},
        commit::{self, Deterministic, Header},
        identity::Identity,
        wire::{Answer, Apply, Create, CreateOpts, Genesis, MultiQuery, Pinned, State},
    },
    decode::decode,
};

const RECORDED: &str = include_str!("../../../../tests/golden/ceramic-http.jsonl");

struct Exchange {
    method: String,
    url: String,
    request: String,
    answer: String,
}

fn recorded() -> Vec<Exchange> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let exchanges = RECORDED.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        Exchange {
            method: text(&line, "method"),
            url: text(&line, "url"),
            request: text(&line, "req"),
            answer: text(&line, "resp"),
        }
    });
    exchanges.collect()
}

/// The key of the recorded client: the bytes from 0 to 31.
fn identity() -> Identity {
    Identity::from_seed(&std::array::from_fn(|i| i as u8))
}

fn stream(text: &str) -> StreamId {
    StreamId::parse(text).unwrap()
}

fn answer(exchange: &Exchange) -> Answer {
    serde_json::from_str(&exchange.answer).unwrap()
}

#[test]
fn the_identity_is_the_recorded_one() {
    let did = "did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd";
    assert_eq!(identity().did(), did);
    assert_eq!(format!("{:?}", identity()), did);
}

/// Requests that begin a signed tile: one with a family and pinned, one with neither.
#[test]
fn recorded_signed_tiles_come_out_equal() {
    let recorded = recorded();
    let pinned = CreateOpts::pinned();
    let not_pinned = CreateOpts { sync_timeout: Some(0), ..CreateOpts::default() };
    for (exchange, opts) in [(&recorded[0], pinned), (&recorded[9], not_pinned)] {
        assert_eq!((exchange.method.as_str(), exchange.url.as_str()), ("POST", "/api/v0/streams"));
        let request: Value = serde_json::from_str(&exchange.request).unwrap();
        let block = request["genesis"]["linkedBlock"].as_str().unwrap();
        let block = decode(&BASE64_NOPAD.decode(block.as_bytes()).unwrap());
        let header = Header {
            family: block["header"].get("family").and_then(Value::as_str),
            unique: block["header"]["unique"].as_str(),
            tags: &[],
        };
        let (signed, name) = commit::genesis(&identity(), &header, &block["data"]).unwrap();
        let ours = serde_json::to_string(&Create::new(Genesis::Signed(&signed), opts)).unwrap();
        assert_eq!(ours, exchange.request);
        assert_eq!(name, stream(&answer(exchange).stream));
        let genesis = answer(exchange).state.tip().unwrap();
        assert_eq!(StreamId::of_tile(&genesis), name);
    }
}

#[test]
fn the_recorded_deterministic_tile_comes_out_equal() {
    let exchange = &recorded()[3];
    let begin = Deterministic::new(&identity(), "backup", &["index"]);
    let request = Create::new(Genesis::Deterministic(&begin), CreateOpts::default());
    assert_eq!(serde_json::to_string(&request).unwrap(), exchange.request);
    let genesis = begin.cid().unwrap();
    assert_eq!(StreamId::of_tile(&genesis), stream(&answer(exchange).stream));
    assert_eq!(answer(exchange).state.tip(), Some(genesis));
}

/// Changes of a signed tile and of a deterministic one: the request, and the new tip.
#[test]
fn recorded_changes_come_out_equal() {
    let recorded = recorded();
    for (begin, change) in [(&recorded[0], &recorded[1]), (&recorded[3], &recorded[4])] {
        let genesis = answer(begin).state.tip().unwrap();
        let request: Value = serde_json::from_str(&change.request).unwrap();
        let block = request["commit"]["linkedBlock"].as_str().unwrap();
        let block = decode(&BASE64_NOPAD.decode(block.as_bytes()).unwrap());
        assert_eq!(block["id"], json!({"/": genesis.to_string()}));
        let (signed, tip) =
            commit::update(&identity(), &genesis, &genesis, &block["data"]).unwrap();
        let name = stream(request["streamId"].as_str().unwrap());
        let ours = serde_json::to_string(&Apply::new(&name, &signed)).unwrap();
        assert_eq!(ours, change.request);
        assert_eq!(answer(change).state.tip(), Some(tip));
    }
}

#[test]
fn recorded_states_are_understood() {
    let recorded = recorded();
    let state = answer(&recorded[2]).state;
    assert_eq!(state.content(), &json!({"hello": "world2", "arr": [1, 2, 3]}));
    assert_eq!(state.len(), 2);
    let (first, second) = (answer(&recorded[0]).state.tip(), answer(&recorded[1]).state.tip());
    assert!(state.contains(&first.unwrap()) && state.contains(&second.unwrap()));
    assert!(!state.contains(&Cid::of_cbor(b"another")));
    assert_eq!(answer(&recorded[3]).state.content(), &json!({}));
    assert_eq!(
        recorded[2].url.split('?').next(),
        Some(&*format!("/api/v0/streams/{}", answer(&recorded[0]).stream))
    );
}

#[test]
fn recorded_pins_and_queries_come_out_equal() {
    let recorded = recorded();
    for (exchange, expected) in [(&recorded[5], true), (&recorded[10], false)] {
        assert_eq!(exchange.request, "{}");
        let pinned: Pinned = serde_json::from_str(&exchange.answer).unwrap();
        assert_eq!((pinned.is_pinned, pinned.warn), (expected, None));
    }
    let query = &recorded[7];
    let names = [answer(&recorded[0]).stream, answer(&recorded[3]).stream].map(|n| stream(&n));
    let ours = MultiQuery::new(&[&names[0], &names[1]], 5000);
    assert_eq!(serde_json::to_string(&ours).unwrap(), query.request);
    let states: std::collections::BTreeMap<String, State> =
        serde_json::from_str(&query.answer).unwrap();
    assert!(names.iter().all(|name| states.contains_key(name.as_str())));
    assert_eq!(states.len(), 2);
}

/// The log of a stream holds whole commits: their names follow from what is signed, and the
/// signatures are good.
#[test]
fn recorded_commits_have_the_names_and_signatures_they_should() {
    let log: Value = serde_json::from_str(&recorded()[8].answer).unwrap();
    let bytes = |text: &Value| {
        data_encoding::BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
    };
    let key = VerifyingKey::from_bytes(&public_key(identity().did())).unwrap();
    for entry in log["commits"].as_array().unwrap() {
        let jws = &entry["value"]["jws"];
        let block = entry["value"]["linkedBlock"].as_str().unwrap();
        let link = Cid::of_cbor(&BASE64_NOPAD.decode(block.as_bytes()).unwrap());
        assert_eq!(jws["link"], json!(link.to_string()));
        assert_eq!(bytes(&jws["payload"]), link.as_bytes());
        let signature = &jws["signatures"][0];
        let text = |part: &Value| part.as_str().unwrap().to_owned();
        let (protected, payload) = (text(&signature["protected"]), text(&jws["payload"]));
        let signed: [u8; 64] = bytes(&signature["signature"]).try_into().unwrap();
        key.verify(format!("{protected}.{payload}").as_bytes(), &signed.into()).unwrap();
        let ours = identity().sign(&payload);
        assert_eq!(ours.protected, protected);
        assert_eq!(ours.signature, text(&signature["signature"]));
        let name = commit::name_of(&link, &ours).unwrap();
        assert_eq!(entry["cid"], json!(name.to_string()));
    }
}

/// The key in a `did:key`.
pub(super) fn public_key(did: &str) -> [u8; 32] {
    let mut number = [0u8; 34];
    for letter in did.strip_prefix("did:key:z").unwrap().bytes() {
        let alphabet = super::super::base_x::BASE58;
        let mut carry = alphabet.iter().position(|l| *l == letter).unwrap() as u32;
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
    }
    assert_eq!(number[..2], [0xed, 0x01]);
    number[2..].try_into().unwrap()
}

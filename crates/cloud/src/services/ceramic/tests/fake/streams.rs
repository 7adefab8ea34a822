//! What the node does with its streams: creating, commits upon commits, pins.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use ed25519_dalek::{Verifier, VerifyingKey};
use serde_json::{Value, json};

use super::{
    super::{
        super::{
            cid::{Cid, StreamId},
            commit::{Deterministic, name_of},
            identity::Signature,
            transport::{Method, Request},
        },
        decode::decode,
        vectors::public_key,
    },
    Commit, Inner, Stream, Version,
};

type Outcome = std::result::Result<Value, (u16, String)>;

fn refuse<T>(text: impl Into<String>) -> std::result::Result<T, (u16, String)> {
    Err((500, text.into()))
}

impl Inner {
    pub(super) fn answer(&mut self, request: &Request) -> Outcome {
        let path = request.path.split('?').next().unwrap();
        let body = request.body.as_ref().map(|body| serde_json::from_str(body).unwrap());
        let body: Value = body.unwrap_or_default();
        match (request.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (Method::Post, ["streams"]) => self.create(&body),
            (Method::Get, ["streams", name]) => self.state(name),
            (Method::Post, ["commits"]) => self.apply(&body),
            (Method::Post, ["multiqueries"]) => {
                let names = body["queries"].as_array().unwrap().iter();
                let names = names.map(|query| query["streamId"].as_str().unwrap());
                let states = names.filter_map(|name| {
                    Some((name.to_owned(), self.state(name).ok()?["state"].clone()))
                });
                Ok(states.collect())
            }
            (Method::Post, ["pins", _]) if self.version == Version::Two => {
                Ok(json!({"warn": "no operation: moved to the admin API"}))
            }
            (method, ["pins", name]) if self.version == Version::One => self.pin(method, name),
            (Method::Get, ["admin", "getCode"]) if self.version == Version::Two => {
                self.codes_given += 1;
                let code = format!("code {}", self.codes_given);
                self.codes.insert(code.clone());
                Ok(json!({ "code": code }))
            }
            (method, ["admin", "pins", name]) if self.version == Version::Two => {
                self.admit(request.authorization.as_deref())?;
                self.pin(method, name)
            }
            _ => Err((404, format!("Cannot {request:?}"))),
        }
    }

    fn create(&mut self, body: &Value) -> Outcome {
        assert_eq!(body["type"], 0);
        let genesis = &body["genesis"];
        let (cid, payload) = if genesis.get("jws").is_some() {
            self.open(genesis, None)?
        } else {
            let controller = genesis["header"]["controllers"][0].as_str().unwrap();
            let tag = genesis["header"]["tags"][0].as_str().unwrap();
            let family = genesis["header"]["family"].as_str().unwrap();
            // Only the controller's name counts here.
            let cid = Deterministic::of(controller, family, &[tag]).cid().unwrap();
            (cid, genesis.clone())
        };
        let name = StreamId::of_tile(&cid).to_string();
        self.streams.entry(name.clone()).or_insert_with(|| Stream {
            controller: payload["header"]["controllers"][0].as_str().unwrap().to_owned(),
            header: payload["header"].clone(),
            genesis: payload.get("data").cloned().unwrap_or_else(|| json!({})),
            log: vec![cid.to_string()],
        });
        if body["opts"]["pin"] == json!(true) && self.version == Version::One {
            self.pins.insert(name.clone());
        }
        self.state(&name)
    }

    fn apply(&mut self, body: &Value) -> Outcome {
        let name = body["streamId"].as_str().unwrap();
        let Some(stream) = self.streams.get(name).cloned() else { return refuse("no stream") };
        let (cid, payload) = self.open(&body["commit"], Some(&stream.controller))?;
        let link = |key: &str| payload[key]["/"].as_str().unwrap().to_owned();
        if link("id") != stream.log[0] {
            return refuse("Invalid streamId");
        }
        let commit = Commit { prev: link("prev"), patch: payload["data"].clone() };
        self.commits.insert(cid.to_string(), commit);
        if let Some(log) = self.choose(&stream.log, &cid)? {
            self.streams.get_mut(name).unwrap().log = log;
        }
        self.state(name)
    }

    /// The log after a commit has come, if it is another one.
    fn choose(
        &self,
        log: &[String],
        cid: &Cid,
    ) -> std::result::Result<Option<Vec<String>>, (u16, String)> {
        if log.contains(&cid.to_string()) {
            return Ok(None);
        }
        let mut theirs = vec![cid.to_string()];
        let fork = loop {
            let Some(commit) = self.commits.get(&theirs[0]) else { return refuse("no commit") };
            match log.iter().position(|cid| *cid == commit.prev) {
                Some(fork) => break fork,
                None => theirs.insert(0, commit.prev.clone()),
            }
        };
        let whole = [&log[..=fork], &theirs].concat();
        if fork + 1 == log.len() {
            return Ok(Some(whole));
        }
        if self.version == Version::Two {
            return refuse("Commit to stream rejected because it builds on stale state");
        }
        // The bytes are compared as JavaScript compares arrays: as their decimal text.
        let text = |cid: &String| {
            let cid = Cid::parse(cid).unwrap();
            cid.as_bytes().iter().map(u8::to_string).collect::<Vec<_>>().join(",")
        };
        let theirs_wins = match whole.len().cmp(&log.len()) {
            std::cmp::Ordering::Equal => text(&log[log.len() - 1]) >= text(&whole[whole.len() - 1]),
            order => order.is_gt(),
        };
        Ok(theirs_wins.then_some(whole))
    }

    /// Checks a signed commit; its name and its payload.
    fn open(
        &mut self,
        commit: &Value,
        controller: Option<&str>,
    ) -> std::result::Result<(Cid, Value), (u16, String)> {
        let block = commit["linkedBlock"].as_str().unwrap();
        let block = BASE64_NOPAD.decode(block.as_bytes()).unwrap();
        self.largest_commit = self.largest_commit.max(block.len());
        if block.len() > 256_000 {
            return refuse("commit size exceeds the maximum block size of 256000");
        }
        let payload = decode(&block);
        let link = Cid::of_cbor(&block);
        let jws = &commit["jws"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let signature = Signature {
            protected: text(&jws["signatures"][0]["protected"]),
            signature: text(&jws["signatures"][0]["signature"]),
        };
        assert_eq!(text(&jws["link"]), link.to_string());
        assert_eq!(text(&jws["payload"]), BASE64URL_NOPAD.encode(link.as_bytes()));
        let owner = controller.map(str::to_owned);
        let owner = owner.unwrap_or_else(|| text(&payload["header"]["controllers"][0]));
        check(&owner, &signature, &text(&jws["payload"]))?;
        Ok((name_of(&link, &signature).unwrap(), payload))
    }

    fn admit(&mut self, authorization: Option<&str>) -> std::result::Result<(), (u16, String)> {
        let Some(compact) = authorization.and_then(|text| text.strip_prefix("Basic ")) else {
            return Err((401, "Missing authorization header".to_owned()));
        };
        let [protected, payload, signature] =
            compact.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        let json = |text: &str| -> Value {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap()
        };
        let kid = json(&protected)["kid"].as_str().unwrap().to_owned();
        let did = kid.split('#').next().unwrap();
        check(did, &Signature { protected, signature }, &payload)?;
        let payload = json(&payload);
        assert_eq!(payload["requestPath"], "/api/v0/admin/pins");
        let known = self.codes.remove(payload["code"].as_str().unwrap());
        if known && self.admins.iter().any(|admin| admin == did) {
            return Ok(());
        }
        let text = format!("Unauthorized access: DID '{kid}' does not have admin access");
        Err((401, text))
    }

    fn pin(&mut self, method: Method, name: &str) -> Outcome {
        let is_pinned = method == Method::Post;
        if is_pinned {
            self.pins.insert(name.to_owned());
        } else {
            self.pins.remove(name);
        }
        Ok(json!({"streamId": name, "isPinned": is_pinned}))
    }

    fn state(&self, name: &str) -> Outcome {
        let Some(stream) = self.streams.get(name) else { return refuse("no stream") };
        let mut content = stream.genesis.clone();
        for cid in &stream.log[1..] {
            patch(&mut content, &self.commits[cid].patch);
        }
        let log: Value = stream.log.iter().map(|cid| json!({"cid": cid, "type": 1})).collect();
        let mut state = json!({"type": 0, "content": stream.genesis, "log": log});
        if stream.log.len() > 1 {
            state["next"] = json!({ "content": content });
        }
        Ok(json!({"streamId": name, "state": state}))
    }
}

fn check(
    did: &str,
    signature: &Signature,
    payload: &str,
) -> std::result::Result<(), (u16, String)> {
    let key = VerifyingKey::from_bytes(&public_key(did)).unwrap();
    let bytes = BASE64URL_NOPAD.decode(signature.signature.as_bytes()).unwrap();
    let bytes: [u8; 64] = bytes.try_into().unwrap();
    let signed = format!("{}.{payload}", signature.protected);
    key.verify(signed.as_bytes(), &bytes.into())
        .or_else(|_| refuse("Can not verify signature for commit"))
}

/// A patch by RFC 6902 that only adds members.
pub(in super::super) fn patch(content: &mut Value, operations: &Value) {
    for operation in operations.as_array().unwrap() {
        assert_eq!(operation["op"], "add");
        let (parent, key) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = content.pointer_mut(parent).unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        parent.as_object_mut().unwrap().insert(key, operation["value"].clone());
    }
}

//! Commits: what begins a tile and what changes it, signed, with the names that follow from them.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use serde::Serialize;
use serde_json::Value;

use super::{
    cbor::{NoForm, Node},
    cid::{Cid, StreamId},
    identity::{Identity, Signature},
};

/// A signed commit, as the service takes it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Signed {
    jws: Jws,
    #[serde(rename = "linkedBlock")]
    linked_block: String,
}

#[derive(Debug, Clone, Serialize)]
struct Jws {
    payload: String,
    signatures: [Signature; 1],
    link: String,
}

/// The header of a tile.
#[derive(Debug, Clone, Default)]
pub(super) struct Header<'a> {
    pub(super) family: Option<&'a str>,
    pub(super) tags: &'a [&'a str],
    /// Makes tiles with the same content different ones.
    pub(super) unique: Option<&'a str>,
}

/// The beginning of a tile that follows from its controller, family and tags alone, unsigned.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Deterministic {
    header: PlainHeader,
}

#[derive(Debug, Clone, Serialize)]
struct PlainHeader {
    controllers: [String; 1],
    family: String,
    tags: Vec<String>,
}

/// The beginning of a tile with content, and the tile's name.
pub(super) fn genesis(
    identity: &Identity,
    header: &Header<'_>,
    data: &Value,
) -> Result<(Signed, StreamId), NoForm> {
    let mut fields = vec![("controllers", Node::List(vec![Node::Text(identity.did())]))];
    if let Some(family) = header.family {
        fields.push(("family", Node::Text(family)));
    }
    if !header.tags.is_empty() {
        let tags = header.tags.iter().map(|tag| Node::Text(tag)).collect();
        fields.push(("tags", Node::List(tags)));
    }
    if let Some(unique) = header.unique {
        fields.push(("unique", Node::Text(unique)));
    }
    let block = Node::Map(vec![("data", Node::Json(data)), ("header", Node::Map(fields))]);
    let (commit, cid) = sign(identity, &block.encode()?)?;
    Ok((commit, StreamId::of_tile(&cid)))
}

/// A change of a tile: a patch by RFC 6902 upon the commit `prev`. Answers the commit and its name,
/// which is the tile's new tip.
pub(super) fn update(
    identity: &Identity,
    genesis: &Cid,
    prev: &Cid,
    patch: &Value,
) -> Result<(Signed, Cid), NoForm> {
    let block = Node::Map(vec![
        ("data", Node::Json(patch)),
        ("header", Node::Map(Vec::new())),
        ("id", Node::Link(genesis)),
        ("prev", Node::Link(prev)),
    ]);
    sign(identity, &block.encode()?)
}

impl Deterministic {
    pub(super) fn new(identity: &Identity, family: &str, tags: &[&str]) -> Self {
        Self::of(identity.did(), family, tags)
    }

    pub(super) fn of(controller: &str, family: &str, tags: &[&str]) -> Self {
        Self {
            header: PlainHeader {
                controllers: [controller.to_owned()],
                family: family.to_owned(),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            },
        }
    }

    /// The name of the commit that begins the tile.
    pub(super) fn cid(&self) -> Result<Cid, NoForm> {
        let PlainHeader { controllers, family, tags } = &self.header;
        let header = Node::Map(vec![
            ("controllers", texts(controllers)),
            ("family", Node::Text(family)),
            ("tags", texts(tags)),
        ]);
        Ok(Cid::of_cbor(&Node::Map(vec![("header", header)]).encode()?))
    }
}

fn texts(texts: &[String]) -> Node<'_> {
    Node::List(texts.iter().map(|text| Node::Text(text)).collect())
}

/// Signs a block, and names the commit: the CID of the signature over the CID of the block.
fn sign(identity: &Identity, block: &[u8]) -> Result<(Signed, Cid), NoForm> {
    let link = Cid::of_cbor(block);
    let payload = BASE64URL_NOPAD.encode(link.as_bytes());
    let signature = identity.sign(&payload);
    let cid = name_of(&link, &signature)?;
    let jws = Jws { payload, signatures: [signature], link: link.to_string() };
    Ok((Signed { jws, linked_block: BASE64_NOPAD.encode(block) }, cid))
}

/// The name of a signed commit. Its texts in base64url are bytes in DAG-JOSE, and `link` is left out.
pub(super) fn name_of(link: &Cid, signature: &Signature) -> Result<Cid, NoForm> {
    let bytes = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| NoForm);
    let (protected, signed) = (bytes(&signature.protected)?, bytes(&signature.signature)?);
    let signature = Node::Map(vec![
        ("protected", Node::Bytes(&protected)),
        ("signature", Node::Bytes(&signed)),
    ]);
    let commit = Node::Map(vec![
        ("payload", Node::Bytes(link.as_bytes())),
        ("signatures", Node::List(vec![signature])),
    ]);
    Ok(Cid::of_jose(&commit.encode()?))
}

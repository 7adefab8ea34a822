//! Labels, as wallets exchange them: the examples of BIP-329 come in and go out as they are.

use serde_json::Value;
use wallet_persistence::{BadData, Error, Label, LabelKind};

use crate::common::{alone, two};

/// The test vector of the BIP.
const VECTOR: &str = r#"{ "type": "tx", "ref": "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd", "label": "Transaction", "origin": "wpkh([d34db33f/84'/0'/0'])" }
{ "type": "addr", "ref": "bc1q34aq5drpuwy3wgl9lhup9892qp6svr8ldzyy7c", "label": "Address" }
{ "type": "pubkey", "ref": "0283409659355b6d1cc3c32decd5d561abaac86c37a353b52895a5e6c196d6f448", "label": "Public Key" }
{ "type": "input", "ref": "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd:0", "label": "Input" }
{ "type": "output", "ref": "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd:1", "label": "Output" , "spendable" : false }
{ "type": "xpub", "ref": "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8", "label": "Extended Public Key" }
{ "type": "tx", "ref": "f546156d9044844e02b181026a1a407abfca62e7ea1159f87bbeaa77b4286c74", "label": "Account #1 Transaction", "origin": "wpkh([d34db33f/84'/0'/1'])" }
"#;

fn lines(file: &str) -> Vec<Value> {
    let mut lines: Vec<Value> =
        file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(ToString::to_string);
    lines
}

#[tokio::test]
async fn the_labels_of_bip_329_come_back_as_they_were() {
    let device = alone().await;
    let imported = device.session.import_labels(VECTOR).await.unwrap();
    assert_eq!((imported.written, imported.same, imported.passed_over), (7, 0, 0));
    assert_eq!(lines(&device.session.export_labels().unwrap()), lines(VECTOR));
    let device = device.reopen().await;
    assert_eq!(lines(&device.session.export_labels().unwrap()), lines(VECTOR));
    let again = device.session.import_labels(VECTOR).await.unwrap();
    assert_eq!((again.written, again.same), (0, 7));
    assert_eq!(device.session.labels(Some(LabelKind::Tx)).unwrap().len(), 2);
    let output = device.session.labels(Some(LabelKind::Output)).unwrap().remove(0);
    assert_eq!(output.spendable, Some(false));
}

#[tokio::test]
async fn what_is_no_label_is_passed_over_and_what_is_unknown_is_kept() {
    let device = alone().await;
    let later = r#"{"type":"tx","ref":"ab","label":"x","height":800000,"rate":{"USD":105}}"#;
    let file =
        format!("nonsense\n{{\"type\":\"shoe\",\"ref\":\"1\"}}\n\n{later}\n{{\"type\":\"tx\"}}\n");
    let imported = device.session.import_labels(&file).await.unwrap();
    assert_eq!((imported.written, imported.passed_over), (1, 3));
    assert_eq!(lines(&device.session.export_labels().unwrap()), lines(later));
}

#[tokio::test]
async fn labels_of_two_devices_merge() {
    let (a, b) = two().await;
    a.session.put_labels([Label::new(LabelKind::Addr, "bc1q", " rent ")]).await.unwrap();
    b.clock.advance(1);
    b.session.put_labels([Label::new(LabelKind::Tx, "ab", "coffee")]).await.unwrap();
    a.post().await;
    b.post().await;
    a.poll().await;
    b.poll().await;
    for device in [&a, &b] {
        let labels = device.session.labels(None).unwrap();
        let shown: Vec<_> = labels.iter().map(|l| (l.kind, l.label.as_deref())).collect();
        let expected = [(LabelKind::Addr, Some("rent")), (LabelKind::Tx, Some("coffee"))];
        assert_eq!(shown, expected);
    }
    assert!(a.session.remove_label(LabelKind::Tx, "ab").await.unwrap());
    assert!(!a.session.remove_label(LabelKind::Tx, "ab").await.unwrap());
    let bad = a.session.put_labels([Label::new(LabelKind::Tx, "", "x")]).await;
    assert!(matches!(bad, Err(Error::BadData(BadData::Text { .. }))), "{bad:?}");
}

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

/// BIP-329: "If the `label` or `spendable` properties are omitted, the importing wallet should not alter
/// these values."
#[tokio::test]
async fn what_a_label_file_leaves_out_is_not_altered() {
    let device = alone().await;
    let known = || device.session.labels(None).unwrap().remove(0);
    let import = async |file: &str| device.session.import_labels(file).await.unwrap();
    import(r#"{"type":"output","ref":"ab:1","label":"rent","origin":"wpkh([d34db33f])","spendable":false,"rate":{"USD":1}}"#).await;
    let imported = import(r#"{"type":"output","ref":"ab:1","label":"the rent"}"#).await;
    assert_eq!((imported.written, imported.same), (1, 0));
    let expected = || Label {
        origin: Some("wpkh([d34db33f])".to_owned()),
        spendable: Some(false),
        others: serde_json::from_str(r#"{"rate":{"USD":1}}"#).unwrap(),
        ..Label::new(LabelKind::Output, "ab:1", "the rent")
    };
    assert_eq!(known(), expected());
    for again in [
        r#"{"type":"output","ref":"ab:1","spendable":false}"#,
        r#"{"type":"output","ref":"ab:1","label":""}"#,
        r#"{"type":"output","ref":"ab:1","rate":{"USD":1}}"#,
    ] {
        let imported = import(again).await;
        assert_eq!((imported.written, imported.same, imported.passed_over), (0, 1, 0), "{again}");
    }
    // Nor is it by a name that the person gives.
    device.session.put_labels([Label::new(LabelKind::Output, "ab:1", "home")]).await.unwrap();
    assert_eq!(known(), Label { label: Some("home".to_owned()), ..expected() });
    // Two lines about one thing in one file.
    import(concat!(
        r#"{"type":"output","ref":"ab:1","spendable":true}"#,
        "\n",
        r#"{"type":"output","ref":"ab:1","label":"free"}"#
    ))
    .await;
    assert_eq!((known().label.as_deref(), known().spendable), (Some("free"), Some(true)));
}

#[tokio::test]
async fn an_empty_label_does_not_hide_that_an_output_is_frozen() {
    let device = alone().await;
    let file = r#"{"type":"output","ref":"ab:1","label":" ","spendable":false}"#;
    let imported = device.session.import_labels(file).await.unwrap();
    assert_eq!((imported.written, imported.passed_over), (1, 0));
    let label = device.session.labels(None).unwrap().remove(0);
    assert_eq!((label.label, label.spendable), (None, Some(false)));
    let unnamed = device.session.put_labels([Label::new(LabelKind::Tx, "ab", "")]).await;
    assert!(matches!(unnamed, Err(Error::BadData(BadData::Text { .. }))), "{unnamed:?}");
}

/// One export may have the labels of several wallets; a transaction has one label here.
#[tokio::test]
async fn of_two_origins_of_one_transaction_the_first_stays_and_that_is_told() {
    let device = alone().await;
    let line = |label: &str, origin: &str| {
        format!("{{\"type\":\"tx\",\"ref\":\"ab\",\"label\":\"{label}\"{origin}}}\n")
    };
    let (one, two) =
        (r#","origin":"wpkh([d34db33f/84'/0'/0'])""#, r#","origin":"wpkh([d34db33f/84'/0'/1'])""#);
    let file = [line("in", one), line("out", two)].concat();
    for (written, same) in [(1, 0), (0, 1)] {
        let imported = device.session.import_labels(&file).await.unwrap();
        assert_eq!((imported.written, imported.same, imported.other_origin), (written, same, 1));
        let label = device.session.labels(None).unwrap().remove(0);
        assert_eq!(label.label.as_deref(), Some("in"));
    }
    // The same origin, or none, is about the same label.
    for (label, origin) in [("paid in", one), ("paid", "")] {
        let imported = device.session.import_labels(&line(label, origin)).await.unwrap();
        assert_eq!((imported.written, imported.other_origin), (1, 0));
        let known = device.session.labels(None).unwrap().remove(0);
        assert_eq!((known.label.as_deref(), known.origin.is_some()), (Some(label), true));
    }
}

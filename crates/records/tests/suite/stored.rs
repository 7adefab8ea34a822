//! The stored bytes: golden, damaged, older, newer.

use std::sync::Arc;

use kv_core::{BoxError, Key, KvStore, KvStoreExt, Namespace};
use records::{Error, Fields, Index, ObjectStore, OpenReport, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::{HeldStore, SpoiltStore, Tx, hashes, labelled, mem, open, tx};

fn transactions() -> Namespace {
    Namespace::reserved("~records", "transactions").unwrap()
}

/// The name that the record with this hash is stored under.
fn name_of(hash: &str) -> Key {
    let kv = mem();
    open::<Tx>(&kv).put(&tx(hash, 0)).unwrap().wait().unwrap();
    kv.list_all(&transactions()).unwrap().remove(0)
}

fn reopen(kv: &Arc<dyn KvStore>) -> (ObjectStore<Tx>, OpenReport) {
    ObjectStore::open(Arc::clone(kv)).unwrap()
}

#[test]
fn encoded_keys_are_the_golden_ones() {
    let keys: Vec<(&str, RecordKey)> = vec![
        ("-inf", f64::NEG_INFINITY.try_into().unwrap()),
        ("i64::MIN + 1", (i64::MIN + 1).into()),
        ("-1.5", (-1.5).try_into().unwrap()),
        ("-0.0", (-0.0).try_into().unwrap()),
        ("0", 0u8.into()),
        ("1", 1i64.into()),
        ("2^53 + 1", ((1u64 << 53) + 1).into()),
        ("u64::MAX", u64::MAX.into()),
        ("inf", f64::INFINITY.try_into().unwrap()),
        ("Date(-1)", RecordKey::Date(-1)),
        ("Date(1663617600000)", RecordKey::Date(1_663_617_600_000)),
        (r#""""#, "".into()),
        (r#""a\0b""#, "a\0b".into()),
        (r#""\u{10000}""#, "\u{10000}".into()),
        (r#""\u{E000}""#, "\u{E000}".into()),
        (r#""\u{FFFF}""#, "\u{FFFF}".into()),
        ("[0, 1, 255]", [0u8, 1, 255].into()),
        ("()", RecordKey::Array(vec![])),
        (r#"(1, "0xab")"#, (1u64, "0xab").into()),
        (r#"((), ("a",), [7])"#, (RecordKey::Array(vec![]), ("a",), [7u8]).into()),
    ];
    let lines = keys.iter().map(|(name, key)| {
        let hex: String = key.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex} {name}\n")
    });
    assert_eq!(lines.collect::<String>(), include_str!("../golden/v1/keys.txt"));
}

#[test]
fn stored_entries_are_the_golden_ones() {
    let kv = mem();
    open::<Tx>(&kv).put(&tx("0xab", 70)).unwrap().wait().unwrap();
    Fields::open(Arc::clone(&kv)).unwrap().set("givenName", "Ada").unwrap().wait().unwrap();
    for line in include_str!("../golden/v1/entries.txt").lines() {
        let [ns, name, value] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let (primary, secondary) = ns.split_once('/').unwrap();
        let ns = Namespace::reserved(primary, secondary).unwrap();
        let names = kv.list_all(&ns).unwrap();
        assert_eq!(names.iter().map(Key::as_str).collect::<Vec<_>>(), [name]);
        let stored = kv.read_required(&ns, &names[0]).unwrap();
        assert_eq!(std::str::from_utf8(&stored).unwrap(), value);
    }
}

#[test]
fn a_damaged_record_is_reported_by_name_and_skipped() {
    let record = |hash: &str| {
        let kv = mem();
        open::<Tx>(&kv).put(&tx(hash, 1)).unwrap().wait().unwrap();
        kv.read_required(&transactions(), &name_of(hash)).unwrap()
    };
    let (good, other) = (record("a"), record("b"));
    let cases: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("not json", b"\x00\x01\x02"),
        ("not utf-8", b"{\"v\":1,\"r\":\"\xFF\"}"),
        ("cut", &good[..good.len() - 5]),
        ("continued", &[&good, b"x".as_slice()].concat()),
        ("another shape", br#"{"v":1,"r":{"chain":1}}"#),
        ("no version", br#"{"r":{"chain":1}}"#),
        ("no content", br#"{"v":1}"#),
        ("a negative version", br#"{"v":-1,"r":{}}"#),
        ("more than a frame", &[&good[..good.len() - 1], br#","x":1}"#].concat()),
        ("an unknown old version", br#"{"v":0,"r":{}}"#),
        ("the record of another name", &other),
    ];
    for (case, bytes) in cases {
        let kv = mem();
        open::<Tx>(&kv).put_many(&[labelled("a", "rent"), tx("c", 3)]).unwrap().wait().unwrap();
        let name = name_of("a");
        kv.write(&transactions(), &name, *bytes).unwrap();
        let (store, report) = reopen(&kv);
        assert_eq!((report.records, report.too_new(), report.skipped.len()), (1, 0, 1), "{case}");
        assert!(!report.is_clean());
        assert_eq!(report.skipped[0].name, name, "{case}");
        assert!(
            matches!(report.skipped[0].why, Error::Damaged { .. }),
            "{case}: {:?}",
            report.skipped[0]
        );
        assert!(matches!(store.get((1u64, "a")), Err(Error::Damaged { .. })), "{case}");
        assert_eq!(hashes(&store, &Query::index("from")), ["c"], "{case}");
        // It counts as there for a new record; putting it again heals it.
        assert!(matches!(store.put_new(&tx("a", 1)), Err(Error::Exists { .. })), "{case}");
        store.put(&labelled("a", "rent")).unwrap().wait().unwrap();
        assert_eq!(open::<Tx>(&kv).get_all().unwrap().len(), 2, "{case}");
        store.delete((1u64, "a")).unwrap().wait().unwrap();
        assert!(store.get((1u64, "a")).unwrap().is_none(), "{case}: it was healed");
    }
}

#[test]
fn a_record_that_the_store_below_cannot_give_is_reported_and_skipped() {
    let inner = mem();
    open::<Tx>(&inner).put_many(&[tx("a", 1), tx("b", 2)]).unwrap().wait().unwrap();
    let spoilt = |why: kv_core::Error| {
        let kv = SpoiltStore { inner: Arc::clone(&inner), name: name_of("a"), why };
        ObjectStore::<Tx>::open(Arc::new(kv))
    };
    let (store, report) = spoilt(kv_core::Error::corrupt("mem", "a bit flipped")).unwrap();
    assert_eq!((report.records, report.too_new(), report.skipped.len()), (1, 0, 1));
    assert_eq!(report.skipped[0].name, name_of("a"));
    assert_eq!(hashes(&store, &Query::index("from")), ["b"]);
    // A newer envelope below is as good as a newer record: it is left alone.
    let (store, report) =
        spoilt(kv_core::Error::TooNew { store: "mem", found: 2, newest: 1 }).unwrap();
    assert_eq!(report.too_new(), 1);
    assert!(matches!(store.put(&tx("a", 1)), Err(Error::Store { .. })));
    // What concerns the whole store is no reason to go on with half of it.
    assert!(matches!(spoilt(kv_core::Error::Locked { store: "mem" }), Err(Error::Store { .. })));
}

#[test]
fn damage_after_open_shows_at_the_next_open() {
    let kv = mem();
    let store = open::<Tx>(&kv);
    store.put_many(&[tx("a", 1), tx("b", 2)]).unwrap().wait().unwrap();
    kv.write(&transactions(), &name_of("a"), "{}").unwrap();
    assert_eq!(store.get_all().unwrap(), [tx("a", 1), tx("b", 2)], "as it was read");
    let (again, report) = reopen(&kv);
    assert_eq!((report.skipped.len(), again.get_all().unwrap().len()), (1, 1));
}

#[test]
fn clearing_removes_what_is_damaged_and_refuses_what_is_newer() {
    let kv = mem();
    open::<Tx>(&kv)
        .put_many(&[labelled("a", "rent"), tx("b", 2), tx("c", 3)])
        .unwrap()
        .wait()
        .unwrap();
    kv.write(&transactions(), &name_of("b"), "{}").unwrap();
    let newer = r#"{"v":2,"r":{"anything":true}}"#;
    kv.write(&transactions(), &name_of("c"), newer).unwrap();
    let (store, _) = reopen(&kv);
    assert!(matches!(store.clear(), Err(Error::TooNew { .. })));
    assert_eq!(store.get_all().unwrap(), [labelled("a", "rent")], "nothing has changed");
    assert_eq!(kv.list_all(&transactions()).unwrap().len(), 3);
    kv.remove(&transactions(), &name_of("c")).unwrap();
    let (store, _) = reopen(&kv);
    store.clear().unwrap().wait().unwrap();
    assert!(store.get_all().unwrap().is_empty());
    assert!(store.get((1u64, "b")).unwrap().is_none(), "nothing is damaged any more");
    assert_eq!(store.count(&Query::index("label")).unwrap(), 0);
    assert!(kv.namespaces().unwrap().is_empty());
    store.put_new(&labelled("b", "rent")).unwrap().wait().unwrap();
}

#[test]
fn a_newer_version_says_upgrade_and_is_not_overwritten() {
    let kv = mem();
    open::<Tx>(&kv).put_many(&[labelled("a", "rent"), tx("b", 2)]).unwrap().wait().unwrap();
    let newer = r#"{"v":2,"r":{"anything":true}}"#;
    kv.write(&transactions(), &name_of("a"), newer).unwrap();
    let (store, report) = reopen(&kv);
    assert_eq!((report.records, report.too_new(), report.skipped.len()), (1, 1, 1));
    let too_new = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::TooNew { found: 2, newest: 1, .. })), "{result:?}");
    };
    too_new(store.get((1u64, "a")).map(drop));
    too_new(store.put(&tx("a", 1)).map(drop));
    too_new(store.put_new(&tx("a", 1)).map(drop));
    too_new(store.delete((1u64, "a")).map(drop));
    too_new(store.put_many(&[tx("c", 1), tx("a", 1)]).map(drop));
    assert_eq!(hashes(&store, &Query::all()), ["b"]);
    assert_eq!(&*kv.read_required(&transactions(), &name_of("a")).unwrap(), newer.as_bytes());
    let fields = Fields::open(Arc::clone(&kv)).unwrap();
    let ns = Namespace::reserved("~fields", "").unwrap();
    kv.write(&ns, &Key::new("age").unwrap(), r#"{"v":2,"r":1}"#).unwrap();
    too_new(fields.get::<u8>("age").map(drop));
}

/// A visit, in its third version: 1 had seconds, 2 milliseconds, 3 also an origin.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    url: String,
    millis: u64,
    origin: String,
}

impl Record for Visit {
    const STORE: &'static str = "visits";
    const VERSION: u32 = 3;
    const INDEXES: &'static [Index<Self>] =
        &[Index::new("origin", |visit| Some((&visit.origin).into()))];

    fn key(&self) -> RecordKey {
        (&self.url).into()
    }

    fn migrate(from: u32, mut json: Value) -> Result<Value, BoxError> {
        match from {
            1 => {
                let seconds = json["seconds"].as_u64().ok_or_else(|| no("seconds"))?;
                Ok(json!({ "url": json["url"], "millis": seconds * 1000 }))
            }
            2 => {
                json["origin"] = json["url"].as_str().and_then(|url| url.split('/').next()).into();
                Ok(json)
            }
            _ => Err(no("version")),
        }
    }
}

fn no(what: &str) -> BoxError {
    Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(format!("no {what}")))
}

fn visit(url: &str, millis: u64) -> Visit {
    Visit { url: url.to_owned(), millis, origin: url.split('/').next().unwrap().to_owned() }
}

#[test]
fn an_old_version_is_upgraded_step_by_step_as_it_is_read() {
    let kv = mem();
    let ns = Namespace::reserved("~records", "visits").unwrap();
    let urls = ["a.org/1", "b.org/2", "c.org/3", "d.org/4"];
    let all: Vec<Visit> = urls.iter().map(|url| visit(url, 5000)).collect();
    let names: Vec<Key> = urls
        .iter()
        .zip(&all)
        .map(|(_, visit)| {
            let kv = mem();
            open::<Visit>(&kv).put(visit).unwrap().wait().unwrap();
            kv.list_all(&ns).unwrap().remove(0)
        })
        .collect();
    kv.write(&ns, &names[0], r#"{"v":1,"r":{"url":"a.org/1","seconds":5}}"#).unwrap();
    kv.write(&ns, &names[1], r#"{"v":2,"r":{"url":"b.org/2","millis":5000}}"#).unwrap();
    kv.write(&ns, &names[2], r#"{"v":3,"r":{"url":"c.org/3","millis":5000,"origin":"c.org"}}"#)
        .unwrap();
    kv.write(&ns, &names[3], r#"{"v":1,"r":{"url":"d.org/4"}}"#).unwrap();
    let (store, report) = ObjectStore::<Visit>::open(Arc::clone(&kv)).unwrap();
    assert_eq!((report.records, report.old), (3, 2));
    assert_eq!(report.skipped.len(), 1, "the one that cannot be upgraded");
    assert_eq!(report.skipped[0].name, names[3]);
    assert_eq!(store.get_all().unwrap(), all[..3]);
    let by_origin = Query::index("origin").range(records::KeyRange::only("a.org"));
    assert_eq!(store.query(&by_origin).unwrap().next().unwrap(), visit("a.org/1", 5000));
    // Reading wrote nothing; putting it does.
    assert!(kv.read_required(&ns, &names[0]).unwrap().starts_with(br#"{"v":1"#));
    store.put(&visit("a.org/1", 6000)).unwrap().wait().unwrap();
    assert!(kv.read_required(&ns, &names[0]).unwrap().starts_with(br#"{"v":3"#));
    assert_eq!(store.old().unwrap(), 1);
}

#[test]
fn the_version_counts_although_the_text_would_fit() {
    let kv = mem();
    let ns = Namespace::reserved("~records", "visits").unwrap();
    open::<Visit>(&kv).put(&visit("a.org/1", 1)).unwrap().wait().unwrap();
    let name = kv.list_all(&ns).unwrap().remove(0);
    let text = |version: &str| {
        format!(r#"{{"v":{version},"r":{{"url":"a.org/1","millis":5,"origin":"before"}}}}"#)
    };
    kv.write(&ns, &name, text("2")).unwrap();
    let (store, report) = ObjectStore::<Visit>::open(Arc::clone(&kv)).unwrap();
    assert_eq!((report.old, store.get_all().unwrap()[0].origin.as_str()), (1, "a.org"));
    kv.write(&ns, &name, text("3")).unwrap();
    let (store, report) = ObjectStore::<Visit>::open(Arc::clone(&kv)).unwrap();
    assert_eq!((report.old, store.get_all().unwrap()[0].origin.as_str()), (0, "before"));
    for (version, is_too_new) in [("4", true), ("33", true), ("03", false), ("3.0", false)] {
        kv.write(&ns, &name, text(version)).unwrap();
        let (_, report) = ObjectStore::<Visit>::open(Arc::clone(&kv)).unwrap();
        assert_eq!(report.skipped.len(), 1, "{version}");
        assert_eq!(report.skipped[0].is_too_new(), is_too_new, "{version}");
    }
}

#[test]
fn old_records_are_upgraded_at_rest_on_demand() {
    let held = HeldStore::new();
    let kv: Arc<dyn KvStore> = held.clone();
    let ns = Namespace::reserved("~records", "visits").unwrap();
    for n in 0..10 {
        let url = format!("a.org/{n}");
        let name = {
            let kv = mem();
            open::<Visit>(&kv).put(&visit(&url, 1)).unwrap().wait().unwrap();
            kv.list_all(&ns).unwrap().remove(0)
        };
        let old = json!({ "v": 1, "r": { "url": url, "seconds": 5 } }).to_string();
        drop(kv.submit(kv_core::Batch::new().put(&ns, &name, old)));
        held.land();
    }
    let store = open::<Visit>(&kv);
    assert_eq!(store.old().unwrap(), 10);
    // Somebody changes one, and the change is in flight: it is new already.
    drop(store.put(&visit("a.org/3", 7777)).unwrap());
    drop(store.upgrade(4).unwrap());
    drop(store.delete("a.org/9").unwrap());
    assert_eq!(store.old().unwrap(), 10, "nothing is durable yet");
    while held.held() > 0 {
        held.land();
    }
    assert_eq!(store.old().unwrap(), 4);
    let all = store.get_all().unwrap();
    drop(store.upgrade(100).unwrap());
    held.land();
    assert_eq!(store.old().unwrap(), 0);
    assert_eq!(store.get("a.org/3").unwrap().unwrap().millis, 7777);
    let (again, report) = ObjectStore::<Visit>::open(kv).unwrap();
    assert_eq!((report.records, report.old), (9, 0));
    let texts = |all: &[records::Found<Visit>]| format!("{all:?}");
    assert_eq!(texts(&again.get_all().unwrap()), texts(&all), "the same records as before");
}

/// A person, of whom version 2 says that an address belongs to one alone; a note is never stored.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    id: u64,
    mail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "shouting")]
    nick: Option<String>,
}

/// What has begun with `!` comes back only if it does not.
fn shouting<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let nick = Option::<String>::deserialize(from)?;
    Ok(nick.map(|nick| nick.trim_start_matches('!').to_owned()).filter(|nick| nick != "lost"))
}

impl Record for Person {
    const STORE: &'static str = "people";
    const VERSION: u32 = 2;
    const INDEXES: &'static [Index<Self>] =
        &[Index::unique("mail", |person| Some((&person.mail).into()))];

    fn key(&self) -> RecordKey {
        self.id.into()
    }

    fn migrate(_: u32, json: Value) -> Result<Value, BoxError> {
        Ok(json)
    }
}

/// Two devices gave one key each, or the index was declared over what was there already.
#[test]
fn records_that_share_a_unique_key_are_upgraded_with_all_others() {
    let kv = mem();
    let ns = Namespace::reserved("~records", "people").unwrap();
    // Of the last one the nick is lost as it is read, and it cannot be read without one.
    for (id, mail, nick) in [(1, "a@x", "n"), (2, "a@x", "n"), (3, "c@x", "n"), (4, "d@x", "!lost")]
    {
        let name = {
            let (kv, nick) = (mem(), Some("n".to_owned()));
            let person = Person { id, mail: mail.to_owned(), nick };
            open::<Person>(&kv).put(&person).unwrap().wait().unwrap();
            kv.list_all(&ns).unwrap().remove(0)
        };
        let old = json!({ "v": 1, "r": { "id": id, "mail": mail, "nick": nick } }).to_string();
        kv.write(&ns, &name, old).unwrap();
    }
    let (store, report) = ObjectStore::<Person>::open(Arc::clone(&kv)).unwrap();
    assert_eq!((report.records, report.old, report.conflicts.len()), (4, 4, 1));
    for left in [2, 0] {
        store.upgrade(2).unwrap().wait().unwrap();
        assert_eq!(store.old().unwrap(), left);
    }
    let keys = store.keys(&Query::index("mail")).unwrap();
    assert_eq!(keys, [1u8, 2, 3, 4].map(RecordKey::from), "the twins and the others");
    // What does not come back from its JSON stays as it is.
    let (again, report) = ObjectStore::<Person>::open(Arc::clone(&kv)).unwrap();
    assert_eq!((report.records, report.old, report.conflicts.len()), (4, 1, 1));
    assert_eq!(again.get(4u8).unwrap().unwrap().nick, None);
    again.upgrade(9).unwrap().wait().unwrap();
    assert_eq!(again.old().unwrap(), 0);
}

#[test]
fn errors_tell_no_content() {
    let kv = mem();
    open::<Tx>(&kv).put(&tx("a", 1)).unwrap().wait().unwrap();
    let secret = r#"{"v":1,"r":{"chain":"hunter2","hash":"a"}}"#;
    kv.write(&transactions(), &name_of("a"), secret).unwrap();
    let error = reopen(&kv).0.get((1u64, "a")).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        error.to_string(),
        format!("transactions: record {} is damaged", name_of("a").as_str())
    );
    assert_eq!(source.to_string(), "the json does not fit the type (line 1, column 18)");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn messages_are_as_written() {
    let (store, name) = ("visits", Key::new("abc").unwrap());
    let messages = [
        (
            Error::Store { store, source: kv_core::Error::Closed { store: "mem" } },
            "visits: the store below failed",
        ),
        (
            Error::TooNew { store, name, found: 3, newest: 2 },
            "visits: record abc has version 3, this program knows up to 2",
        ),
        (
            Error::NotUnique { store, index: "url" },
            "visits: another record has the same key in the unique index url",
        ),
        (Error::Exists { store }, "visits: a record that must be absent exists"),
        (Error::NotReadable { store }, "visits: the record does not come back from its own JSON"),
        (Error::NoIndex { store, index: "x".to_owned() }, "visits: there is no index \"x\""),
        (Error::NoNumbers { store }, "visits: there are no more numbers for new records"),
        (Error::Cursor { store, what: "no" }, "visits: no"),
        (Error::OtherStore { store }, "visits: the transaction belongs to another key-value store"),
    ];
    for (error, message) in messages {
        assert_eq!(error.to_string(), message);
    }
}

/// A map whose keys are no strings is no JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Odd(std::collections::BTreeMap<Vec<u8>, u8>);

impl Record for Odd {
    const STORE: &'static str = "odd";
    const VERSION: u32 = 1;
    fn key(&self) -> RecordKey {
        0u8.into()
    }
}

#[test]
fn a_record_that_is_no_json_is_refused() {
    let error = open::<Odd>(&mem()).put(&Odd([(vec![1], 1)].into())).unwrap_err();
    assert!(matches!(error, Error::NotJson { .. }), "{error:?}");
    assert_eq!(error.to_string(), "odd: the record cannot be written as JSON");
}

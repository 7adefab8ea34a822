//! Keys are ordered as the Indexed Database API 3.0 orders them, and so are their bytes.

use std::cmp::Ordering::{self, Equal, Greater, Less};

use kv_core::Timestamp;
use proptest::prelude::*;
use records::{KeyRange, NotANumber, Number, RecordKey};

fn number(number: f64) -> RecordKey {
    RecordKey::try_from(number).unwrap()
}

fn array<const N: usize>(keys: [RecordKey; N]) -> RecordKey {
    RecordKey::Array(keys.to_vec())
}

/// Sections are those of the Indexed Database API 3.0 (W3C).
#[test]
fn the_rules_of_the_w3c_text_hold() {
    let date = RecordKey::Date;
    let text = |text: &str| RecordKey::from(text);
    let binary = |bytes: &[u8]| RecordKey::from(bytes);
    let rules: &[(&str, RecordKey, Ordering, RecordKey)] = &[
        ("2.4 keys: array > binary", array([]), Greater, binary(&[0xFF; 9])),
        ("2.4 keys: binary > string", binary(&[]), Greater, text("\u{10FFFF}")),
        ("2.4 keys: string > date", text(""), Greater, date(i64::MAX)),
        ("2.4 keys: date > number", date(i64::MIN), Greater, number(f64::INFINITY)),
        ("2.4 keys: Infinity is a key", number(f64::INFINITY), Greater, number(f64::MAX)),
        ("2.4 keys: -Infinity is a key", number(f64::NEG_INFINITY), Less, number(f64::MIN)),
        ("2.4 compare two keys, number", number(-1.5), Less, number(-1.25)),
        ("2.4 compare two keys, number", number(-1.0), Less, number(0.0)),
        ("2.4 compare two keys, number", number(0.0), Less, number(f64::MIN_POSITIVE)),
        ("2.4 compare two keys, number", number(9.0), Less, number(10.0)),
        ("2.4 compare two keys, number: -0 equals 0", number(-0.0), Equal, number(0.0)),
        ("2.4 compare two keys, number: one type", 5u8.into(), Equal, number(5.0)),
        ("2.4 compare two keys, date", date(-1), Less, date(0)),
        ("2.4 compare two keys, date", date(8_640_000_000_000_000), Greater, date(1)),
        ("2.4 compare two keys, string: beginnings first", text("a"), Less, text("aa")),
        ("2.4 compare two keys, string: beginnings first", text("a"), Less, text("a\0")),
        ("2.4 compare two keys, string", text("a\0b"), Less, text("ab")),
        ("2.4 compare two keys, string: no locale", text("Z"), Less, text("a")),
        ("2.4 compare two keys, string: code units", text("\u{1F600}"), Less, text("\u{E000}")),
        ("2.4 compare two keys, string: code units", text("\u{10FFFF}"), Less, text("\u{FFFF}")),
        ("2.4 compare two keys, string: code units", text("\u{D7FF}"), Less, text("\u{10000}")),
        ("2.4 compare two keys, string: no normalising", text("e\u{301}"), Less, text("\u{E9}")),
        ("2.4 compare two keys, binary: unsigned", binary(&[0x7F]), Less, binary(&[0x80])),
        ("2.4 compare two keys, binary: beginnings first", binary(&[1]), Less, binary(&[1, 0])),
        ("2.4 compare two keys, binary", binary(&[1, 0, 9]), Less, binary(&[1, 1])),
        ("2.4 compare two keys, array: empty first", array([]), Less, array([number(-1.0)])),
        (
            "2.4 compare two keys, array: beginnings first",
            (1u8, 2u8).into(),
            Less,
            (1u8, 2u8, 0u8).into(),
        ),
        ("2.4 compare two keys, array: first difference", (1u8, 9u8).into(), Less, (2u8,).into()),
        ("2.4 compare two keys, array: types inside", (1u8, "").into(), Greater, (1u8, 9u8).into()),
        ("2.4 compare two keys, array: nested", array([array([])]), Greater, array([text("z")])),
        ("2.4 compare two keys, array: end before zero", ("a",).into(), Less, ("a\0",).into()),
    ];
    for (rule, a, order, b) in rules {
        assert_eq!(a.cmp(b), *order, "{rule}: {a:?} {b:?}");
        assert_eq!(b.cmp(a), order.reverse(), "{rule}: {b:?} {a:?}");
        assert_eq!(a.encode().cmp(&b.encode()), *order, "{rule}, encoded: {a:?} {b:?}");
    }
    // 2.4 keys: NaN is no key.
    assert_eq!(RecordKey::try_from(f64::NAN), Err(NotANumber));
}

/// Section 2.9: a key is in a range if it lies between its bounds, open or closed.
#[test]
fn ranges_hold_what_lies_between_their_bounds() {
    let key = |n: u32| RecordKey::from(n);
    let (one, two, three) = (key(1), key(2), key(3));
    let held = |range: KeyRange| [&one, &two, &three].map(|key| range.contains(key));
    assert_eq!(held(KeyRange::all()), [true, true, true]);
    assert_eq!(held(KeyRange::only(2)), [false, true, false]);
    assert_eq!(held(KeyRange::within(&one..&three)), [true, true, false]);
    assert_eq!(held(KeyRange::within(&two..=&three)), [false, true, true]);
    assert_eq!(held(KeyRange::within(&two..)), [false, true, true]);
    assert_eq!(held(KeyRange::within(..&two)), [true, false, false]);
    assert_eq!(held(KeyRange::within(&three..&one)), [false, false, false]);
    let open = (std::ops::Bound::Excluded(one.clone()), std::ops::Bound::Unbounded);
    assert_eq!(held(KeyRange::within(open)), [false, true, true]);
}

#[test]
fn a_prefix_holds_the_arrays_that_begin_with_it() {
    let range = KeyRange::prefix(("a", 1u8));
    for inside in
        [("a", 1u8).into(), ("a", 1u8, 0u8).into(), ("a", 1u8, RecordKey::Array(vec![])).into()]
    {
        assert!(range.contains(&inside), "{inside:?}");
    }
    for outside in
        [("a",).into(), ("a", 2u8).into(), ("a\0", 1u8).into(), "a".into(), RecordKey::from(1u8)]
    {
        assert!(!range.contains(&outside), "{outside:?}");
    }
    // A string that goes on after the prefix is another string.
    assert!(!KeyRange::prefix(("a",)).contains(&("a\0",).into()));
    assert!(!KeyRange::prefix(("a",)).contains(&("ab",).into()));
}

#[test]
fn integers_beyond_doubles_stay_different_and_in_order() {
    let ascending = [
        Number::from(i64::MIN),
        Number::from(i64::MIN + 1),
        Number::from(-(1i64 << 53) - 1),
        Number::from(-(1i64 << 53)),
        Number::from((1u64 << 53) - 1),
        Number::from(1u64 << 53),
        Number::from((1u64 << 53) + 1),
        Number::try_from(9_007_199_254_740_994.0).unwrap(), // 2^53 + 2
        Number::from(i64::MAX),
        Number::from(1u64 << 63),
        Number::from(u64::MAX - 1),
        Number::from(u64::MAX),
        Number::try_from(18_446_744_073_709_551_616.0).unwrap(), // 2^64
    ];
    for pair in ascending.windows(2) {
        assert!(pair[0] < pair[1], "{pair:?}");
        let [a, b] = [pair[0], pair[1]].map(|n| RecordKey::Number(n).encode());
        assert!(a < b, "{pair:?}");
    }
    assert_eq!(Number::from(7u8), Number::from(7i64));
}

#[test]
fn a_timestamp_is_a_date() {
    assert_eq!(RecordKey::from(Timestamp(5)), RecordKey::Date(5));
    assert_eq!(RecordKey::from(Timestamp(u64::MAX)), RecordKey::Date(i64::MAX));
}

/// What a key is made of, so that the order below knows nothing of the code under test.
#[derive(Debug, Clone)]
enum Plain {
    Integer(i128),
    Double(f64),
    Date(i64),
    Text(String),
    Binary(Vec<u8>),
    Array(Vec<Plain>),
}

impl Plain {
    fn key(&self) -> RecordKey {
        match self {
            Self::Integer(n) => match u64::try_from(*n) {
                Ok(n) => n.into(),
                Err(_) => i64::try_from(*n).unwrap().into(),
            },
            Self::Double(n) => number(*n),
            Self::Date(date) => RecordKey::Date(*date),
            Self::Text(text) => text.as_str().into(),
            Self::Binary(bytes) => RecordKey::Binary(bytes.clone()),
            Self::Array(keys) => RecordKey::Array(keys.iter().map(Self::key).collect()),
        }
    }

    /// Where its type stands (section 2.4).
    fn kind(&self) -> u8 {
        match self {
            Self::Integer(_) | Self::Double(_) => 0,
            Self::Date(_) => 1,
            Self::Text(_) => 2,
            Self::Binary(_) => 3,
            Self::Array(_) => 4,
        }
    }
}

/// An integer of at most 64 bits and a double, as the numbers that they are.
fn compare_mixed(integer: i128, double: f64) -> Ordering {
    let far = 2f64.powi(70);
    if double >= far {
        return Less;
    }
    if double <= -far {
        return Greater;
    }
    // Exact: below 2^70 every double's floor is an integer that fits.
    let floor = double.floor();
    integer.cmp(&(floor as i128)).then(if double > floor { Less } else { Equal })
}

/// The steps of "compare two keys" (section 2.4), written apart from the code under test.
fn compare_two_keys(a: &Plain, b: &Plain) -> Ordering {
    use Plain::{Array, Binary, Date, Double, Integer, Text};
    match (a, b) {
        (Integer(a), Integer(b)) => a.cmp(b),
        (Double(a), Double(b)) => a.partial_cmp(b).unwrap(),
        (Integer(a), Double(b)) => compare_mixed(*a, *b),
        (Double(a), Integer(b)) => compare_mixed(*b, *a).reverse(),
        (Date(a), Date(b)) => a.cmp(b),
        (Text(a), Text(b)) => {
            let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
            units(a).cmp(&units(b))
        }
        (Binary(a), Binary(b)) => a.cmp(b),
        (Array(a), Array(b)) => {
            for (a, b) in a.iter().zip(b) {
                match compare_two_keys(a, b) {
                    Equal => {}
                    order => return order,
                }
            }
            a.len().cmp(&b.len())
        }
        _ => a.kind().cmp(&b.kind()),
    }
}

/// Integers of 64 bits, doubles, and doubles at and beside such integers.
fn any_number() -> impl Strategy<Value = Plain> {
    let integers = prop_oneof![
        any::<i64>().prop_map(i128::from),
        any::<u64>().prop_map(i128::from),
        (i128::from(u64::MAX) - 9..=i128::from(u64::MAX)),
        ((1i128 << 53) - 3..(1 << 53) + 5),
        (-(1i128 << 53) - 5..4 - (1 << 53)),
        -3i128..4,
    ];
    let near = (integers, 0..4u8).prop_map(|(integer, how)| {
        let double = integer as f64;
        match how {
            0 => Plain::Integer(integer),
            1 => Plain::Double(double),
            2 => Plain::Double(double.next_up()),
            _ => Plain::Double(double.next_down()),
        }
    });
    prop_oneof![
        4 => near,
        1 => any::<f64>().prop_filter("NaN is no key", |n| !n.is_nan()).prop_map(Plain::Double),
        1 => prop::sample::select(vec![-0.0, 0.0, 0.5, -0.5, f64::INFINITY, f64::NEG_INFINITY])
            .prop_map(Plain::Double),
    ]
}

/// Few different characters, numbers and bytes, so that keys share beginnings and often meet.
fn any_plain() -> impl Strategy<Value = Plain> {
    let chars = prop::sample::select(vec![
        '\0',
        '\u{1}',
        'a',
        'é',
        '\u{D7FF}',
        '\u{E000}',
        '\u{FFFF}',
        '\u{10000}',
        '\u{10FFFF}',
    ]);
    let leaf = prop_oneof![
        any_number(),
        any::<i64>().prop_map(Plain::Date),
        (-2i64..2).prop_map(Plain::Date),
        prop::collection::vec(chars, 0..4)
            .prop_map(|chars| Plain::Text(chars.into_iter().collect())),
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 0x50, 0xFE, 0xFF]), 0..4)
            .prop_map(Plain::Binary),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Plain::Array))
}

fn any_key() -> impl Strategy<Value = RecordKey> {
    any_plain().prop_map(|plain| plain.key())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_order_of_bytes_is_the_order_of_keys(a in any_plain(), b in any_plain()) {
        let order = compare_two_keys(&a, &b);
        let (a, b) = (a.key(), b.key());
        prop_assert_eq!(a.cmp(&b), order);
        prop_assert_eq!(a.encode().cmp(&b.encode()), order);
    }

    #[test]
    fn doubles_and_integers_are_ordered_as_the_numbers_they_are(
        a in any_number(), b in any_number(),
    ) {
        let order = compare_two_keys(&a, &b);
        let (a, b) = (a.key(), b.key());
        prop_assert_eq!(a.cmp(&b), order);
        prop_assert_eq!(a.encode().cmp(&b.encode()), order);
    }

    #[test]
    fn integers_are_ordered_as_integers(a in any::<i64>(), b in any::<i64>(), c in any::<u64>(), d in any::<u64>()) {
        prop_assert_eq!(Number::from(a).cmp(&Number::from(b)), a.cmp(&b));
        prop_assert_eq!(Number::from(c).cmp(&Number::from(d)), c.cmp(&d));
        prop_assert_eq!(Number::from(a).cmp(&Number::from(c)), i128::from(a).cmp(&i128::from(c)));
        // Steps of one, where doubles are far apart.
        prop_assert!(Number::from(c.saturating_sub(1)) < Number::from(c) || c == 0);
    }

    #[test]
    fn doubles_are_ordered_as_doubles(a in any::<f64>(), b in any::<f64>()) {
        let keys = (Number::try_from(a), Number::try_from(b));
        let (Ok(a_key), Ok(b_key)) = keys else { return Ok(()) };
        prop_assert_eq!(Some(a_key.cmp(&b_key)), a.partial_cmp(&b));
    }

    #[test]
    fn no_short_binary_is_the_beginning_of_another(
        a in "[\0\u{1}]{0,3}", b in "[\0\u{1}]{0,3}",
    ) {
        prop_assert!(a == b || !RecordKey::from(b.as_str()).encode().starts_with(&RecordKey::from(a.as_str()).encode()));
        let (a, b) = (RecordKey::from(a.into_bytes()), RecordKey::from(b.into_bytes()));
        prop_assert!(a == b || !b.encode().starts_with(&a.encode()));
    }

    #[test]
    fn no_encoding_is_the_beginning_of_another(a in any_key(), b in any_key()) {
        prop_assert!(a == b || !b.encode().starts_with(&a.encode()));
        // And so a row of keys compares as its encodings in a row do.
        let row = |first: &RecordKey, second: &RecordKey| [first.encode(), second.encode()].concat();
        prop_assert_eq!(row(&a, &b).cmp(&row(&b, &a)), (&a, &b).cmp(&(&b, &a)));
    }

    #[test]
    fn a_prefix_holds_exactly_its_arrays(
        prefix in prop::collection::vec(any_key(), 0..2), rest in prop::collection::vec(any_key(), 0..2), other in any_key(),
    ) {
        let range = KeyRange::prefix(RecordKey::Array(prefix.clone()));
        prop_assert!(range.contains(&RecordKey::Array([prefix.clone(), rest].concat())));
        let inside = matches!(&other, RecordKey::Array(keys) if keys.starts_with(&prefix));
        prop_assert_eq!(range.contains(&other), inside);
    }
}

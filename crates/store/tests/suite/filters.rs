//! The skimming evaluator against the obvious one, on random payloads and filters.

use proptest::prelude::*;
use vectron_base::filter::{
    Bound, Filter, FilterLimits, GeoCircle, Number, Order, Scalar, Test, TextBound, Words,
};
use vectron_store::filter::{Matcher, naive};

const KEYS: [&str; 9] = ["a", "b", "c", "lat", "lon", "é", "a b", "q\"t", "🦀"];
const NUMBERS: [&str; 20] = [
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1e0",
    "2",
    "10",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "18446744073709551615",
    "18446744073709551616",
    "170141183460469231731687303715884105727",
    "170141183460469231731687303715884105728",
    "340282366920938463463374607431768211456",
    "0.1",
    "-2.5",
    "1e300",
    "52.5",
];
const TEXTS: [&str; 14] = [
    "",
    "a",
    "ab",
    "b",
    "é",
    "É x",
    "Two Words",
    "words two three",
    "2024-05-01T12:00:00Z",
    "2024-05-01T14:00:00+02:00",
    "2024-05-01T12:00:00.5Z",
    "quote\"d\\back/slash",
    "tab\tnew\nline",
    "🦀 crab",
];

/// Any payload.
pub fn payload() -> impl Strategy<Value = String> {
    object(value().boxed())
}

/// A payload value and how it is spelled.
fn value() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(vec!["", "", "", " ", "\n\t"]);
    let leaf = prop_oneof![
        Just("null".to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        prop::sample::select(NUMBERS.to_vec()).prop_map(str::to_string),
        (prop::sample::select(TEXTS.to_vec()), any::<u64>()).prop_map(|(t, how)| spelled(t, how)),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let list = (prop::collection::vec(inner.clone(), 0..4), space())
            .prop_map(|(items, s)| format!("[{s}{}{s}]", items.join(&format!("{s},{s}"))));
        prop_oneof![1 => list, 2 => object(inner)]
    })
}

fn object(inner: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    let member = (prop::sample::select(KEYS.to_vec()), any::<u64>(), inner);
    (prop::collection::vec(member, 0..6), prop::sample::select(vec!["", " ", "\r\n"])).prop_map(
        |(members, s)| {
            let members = members.iter().map(|(k, how, v)| format!("{}{s}:{s}{v}", spelled(k, *how)));
            format!("{s}{{{s}{}{s}}}", members.collect::<Vec<_>>().join(&format!("{s},")))
        },
    )
}

/// A string literal, each character plain or escaped as the bits of `how` say.
fn spelled(text: &str, how: u64) -> String {
    let mut out = String::from("\"");
    for (i, c) in text.chars().enumerate() {
        let escape = how >> (i % 64) & 1 == 1 && how.is_multiple_of(3);
        match c {
            '"' | '\\' if !escape => out.extend(['\\', c]),
            '\t' if !escape => out.push_str("\\t"),
            '\n' if !escape => out.push_str("\\n"),
            c if escape => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|u| out.push_str(&format!("\\u{u:04X}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let finite: Vec<Number> = NUMBERS.iter().filter_map(|n| Number::parse(n)).collect();
    prop_oneof![
        1 => Just(Scalar::Null),
        1 => any::<bool>().prop_map(Scalar::Bool),
        4 => prop::sample::select(finite).prop_map(Scalar::Number),
        4 => prop::sample::select(TEXTS.to_vec()).prop_map(|t| Scalar::Text(t.into())),
    ]
}

pub fn test() -> impl Strategy<Value = Test> {
    let order =
        prop::sample::select(vec![Order::Greater, Order::GreaterOrEqual, Order::Less, Order::LessOrEqual]);
    let bound = scalar().prop_filter_map("ordered", |s| match s {
        Scalar::Number(n) => Some(Bound::Number(n)),
        Scalar::Text(t) => Some(Bound::Text(TextBound::new(t))),
        _ => None,
    });
    let text = || prop::sample::select(TEXTS.to_vec());
    prop_oneof![
        scalar().prop_map(Test::Equal),
        scalar().prop_map(Test::NotEqual),
        (order, bound).prop_map(|(order, bound)| Test::Ordered(order, bound)),
        prop::collection::vec(scalar(), 0..5).prop_map(Test::In),
        prop::collection::vec(scalar(), 0..5).prop_map(Test::NotIn),
        any::<bool>().prop_map(Test::Exists),
        text().prop_map(|t| Test::Prefix(t.into())),
        text()
            .prop_filter("has words", |t| t.contains(char::is_alphanumeric))
            .prop_map(|t| Test::Match(Words::new(t.into()))),
        (-3f64..3.0, -3f64..3.0, 0f64..400_000.0)
            .prop_map(|(lat, lon, radius_m)| Test::GeoRadius(GeoCircle { lat, lon, radius_m })),
    ]
}

pub fn filter() -> impl Strategy<Value = Filter> {
    let path = prop::collection::vec(prop::sample::select(KEYS.to_vec()), 1..4).prop_map(|p| p.join("."));
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        20 => (path, test()).prop_map(|(path, test)| Filter::Field { path, test }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::Or),
            inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

    #[test]
    fn skimming_agrees_with_parsing(
        filters in prop::collection::vec(filter(), 1..6), payload in payload(),
    ) {
        prop_assert!(vectron_base::filter::json::check_object(&payload).is_ok(), "{}", payload);
        for filter in filters {
            let (fast, slow) = (Matcher::new(&filter).matches(&payload), naive::matches(&filter, &payload));
            prop_assert_eq!(fast, slow, "{} on {}", filter.to_text(), payload);
            let read = Filter::parse(&filter.to_text(), &FilterLimits::REPLICATED).unwrap();
            prop_assert_eq!(read, filter);
        }
    }

    #[test]
    fn neither_panics_on_anything(filter in filter(), text in ".{0,60}", payload in payload(), cut in any::<prop::sample::Index>()) {
        let matcher = Matcher::new(&filter);
        matcher.matches(&text);
        let mut at = cut.index(payload.len() + 1);
        while !payload.is_char_boundary(at) {
            at -= 1;
        }
        matcher.matches(&payload[..at]);
        let _ = vectron_base::filter::json::check_object(&payload[..at]);
        let _ = Filter::parse(&text, &FilterLimits::default());
    }
}

#[test]
fn the_table_of_the_filter_language_holds() {
    let payload = r#"{"n":1,"s":"text","z":null,"t":["a","b"],"e":[],"o":{"p":{"q":2}},
        "l":[{"x":1},{"x":[2,3]},4],"when":"2024-05-01T14:00:00+02:00","b":true,
        "home":{"lat":52.52,"lon":13.405},"big":9007199254740993,"twice":1,"twice":2}"#;
    let holds = [
        r#"{"n":1}"#,
        r#"{"n":1.0}"#,
        r#"{"s":"text"}"#,
        r#"{"z":null}"#,
        r#"{"t":"a"}"#,
        r#"{"o.p.q":2}"#,
        r#"{"l.x":1}"#,
        r#"{"l.x":3}"#,
        r#"{"missing":{"$ne":1}}"#,
        r#"{"missing":{"$nin":[1,null]}}"#,
        r#"{"$not":{"missing":1}}"#,
        r#"{"missing":{"$exists":false}}"#,
        r#"{"e":{"$exists":true}}"#,
        r#"{"z":{"$exists":true}}"#,
        r#"{"z":{"$ne":1}}"#,
        r#"{"z":{"$in":[null]}}"#,
        r#"{"s":{"$ne":5}}"#,
        r#"{"s":{"$gt":"tex"}}"#,
        r#"{"when":{"$gte":"2024-05-01T12:00:00Z","$lte":"2024-05-01T12:00:00Z"}}"#,
        r#"{"big":{"$gt":9007199254740992}}"#,
        r#"{"home":{"$geo_radius":{"lat":52.5,"lon":13.4,"radius_m":5000}}}"#,
        r#"{"s":{"$prefix":"te"}}"#,
        r#"{"twice":1}"#,
        r#"{"b":true,"o":{"$exists":true}}"#,
    ];
    let does_not = [
        r#"{"n":"1"}"#,
        r#"{"missing":1}"#,
        r#"{"missing":null}"#,
        r#"{"missing":{"$gt":0}}"#,
        r#"{"missing":{"$in":[null]}}"#,
        r#"{"z":{"$gt":0}}"#,
        r#"{"z":{"$nin":[null]}}"#,
        r#"{"s":{"$gt":1}}"#,
        r#"{"t":{"$ne":"a"}}"#,
        r#"{"t":{"$nin":["b"]}}"#,
        r#"{"e":{"$exists":false}}"#,
        r#"{"b":1}"#,
        r#"{"when":"2024-05-01T12:00:00Z"}"#,
        r#"{"big":9007199254740992}"#,
        r#"{"o":{"$eq":2}}"#,
        r#"{"home":{"$geo_radius":{"lat":48.8,"lon":2.3,"radius_m":5000}}}"#,
        r#"{"t":{"$match":"a b"}}"#,
        r#"{"n":{"$prefix":"1"}}"#,
        r#"{"twice":2}"#,
        r#"{"l.y":{"$exists":true}}"#,
    ];
    for (texts, expected) in [(&holds[..], true), (&does_not[..], false)] {
        for text in texts {
            let filter = crate::support::filter(text);
            assert_eq!(Matcher::new(&filter).matches(payload), expected, "{text}");
            assert_eq!(naive::matches(&filter, payload), expected, "naive {text}");
        }
    }
}

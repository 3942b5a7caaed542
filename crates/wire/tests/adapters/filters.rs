//! Filters of every shape that parsing can give.

use proptest::prelude::*;
use proptest::{collection::vec, prop_oneof, sample::select};
use vectron_base::filter::{Bound, Filter, GeoCircle, Number, Order, Scalar, Test, TextBound, Words};

pub fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        6 => ("[a-z\"é ]{1,6}(\\.[a-zß]{1,4}){0,3}", test())
            .prop_map(|(path, test)| Filter::Field { path, test }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Filter::And),
            vec(inner.clone(), 1..4).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn test() -> impl Strategy<Value = Test> {
    let order = select(vec![Order::Greater, Order::GreaterOrEqual, Order::Less, Order::LessOrEqual]);
    let bound = prop_oneof![
        number().prop_map(Bound::Number),
        any::<String>().prop_map(|text| Bound::Text(TextBound::new(text))),
        Just(Bound::Text(TextBound::new("2024-05-01T12:00:00Z".into()))),
    ];
    prop_oneof![
        scalar().prop_map(Test::Equal),
        scalar().prop_map(Test::NotEqual),
        (order, bound).prop_map(|(order, bound)| Test::Ordered(order, bound)),
        vec(scalar(), 0..5).prop_map(Test::In),
        vec(scalar(), 0..5).prop_map(Test::NotIn),
        any::<bool>().prop_map(Test::Exists),
        any::<String>().prop_map(Test::Prefix),
        "[a-zé]{1,5}( [A-Z0-9]{1,5}){0,3}".prop_map(|text| Test::Match(Words::new(text))),
        (-90.0..=90.0, -180.0..=180.0, 0.0..1e7)
            .prop_map(|(lat, lon, radius_m)| Test::GeoRadius(GeoCircle { lat, lon, radius_m })),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Null),
        any::<bool>().prop_map(Scalar::Bool),
        number().prop_map(Scalar::Number),
        any::<String>().prop_map(Scalar::Text),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let real = POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO;
    prop_oneof![any::<i128>().prop_map(Number::Integer), real.prop_map(Number::Real)]
}

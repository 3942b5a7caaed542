//! Filters as canonical JSON text.

use super::{Bound, Filter, GeoCircle, Number, Order, Scalar, Test};
use serde_json::Value;

pub(super) fn write(filter: &Filter) -> String {
    let mut out = String::new();
    put_filter(&mut out, filter);
    out
}

fn put_filter(out: &mut String, filter: &Filter) {
    match filter {
        Filter::All => out.push_str("{}"),
        Filter::And(parts) => put_parts(out, "$and", parts),
        Filter::Or(parts) => put_parts(out, "$or", parts),
        Filter::Not(inner) => {
            out.push_str("{\"$not\":");
            put_filter(out, inner);
            out.push('}');
        }
        Filter::Field { path, test } => {
            out.push('{');
            put_text(out, path);
            out.push(':');
            put_test(out, test);
            out.push('}');
        }
    }
}

fn put_parts(out: &mut String, name: &str, parts: &[Filter]) {
    out.push_str(&format!("{{\"{name}\":["));
    put_list(out, parts, put_filter);
    out.push_str("]}");
}

fn put_list<T>(out: &mut String, items: &[T], put: impl Fn(&mut String, &T)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        put(out, item);
    }
}

fn put_test(out: &mut String, test: &Test) {
    let operator = match test {
        Test::Equal(_) => "$eq",
        Test::NotEqual(_) => "$ne",
        Test::Ordered(Order::Greater, _) => "$gt",
        Test::Ordered(Order::GreaterOrEqual, _) => "$gte",
        Test::Ordered(Order::Less, _) => "$lt",
        Test::Ordered(Order::LessOrEqual, _) => "$lte",
        Test::In(_) => "$in",
        Test::NotIn(_) => "$nin",
        Test::Exists(_) => "$exists",
        Test::Prefix(_) => "$prefix",
        Test::Match(_) => "$match",
        Test::GeoRadius(_) => "$geo_radius",
    };
    out.push_str(&format!("{{\"{operator}\":"));
    match test {
        Test::Equal(value) | Test::NotEqual(value) => put_scalar(out, value),
        Test::Ordered(_, Bound::Number(number)) => put_number(out, *number),
        Test::Ordered(_, Bound::Text(bound)) => put_text(out, bound.text()),
        Test::In(values) | Test::NotIn(values) => {
            out.push('[');
            put_list(out, values, put_scalar);
            out.push(']');
        }
        Test::Exists(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Test::Prefix(text) => put_text(out, text),
        Test::Match(words) => put_text(out, words.text()),
        Test::GeoRadius(GeoCircle { lat, lon, radius_m }) => {
            let (lat, lon, radius_m) = (Value::from(*lat), Value::from(*lon), Value::from(*radius_m));
            out.push_str(&format!("{{\"lat\":{lat},\"lon\":{lon},\"radius_m\":{radius_m}}}"));
        }
    }
    out.push('}');
}

fn put_scalar(out: &mut String, value: &Scalar) {
    match value {
        Scalar::Null => out.push_str("null"),
        Scalar::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Scalar::Number(number) => put_number(out, *number),
        Scalar::Text(text) => put_text(out, text),
    }
}

fn put_number(out: &mut String, number: Number) {
    match number {
        Number::Integer(value) => out.push_str(&value.to_string()),
        // Always with a point or an exponent, so that it is read as a double again.
        Number::Real(value) => out.push_str(&Value::from(value).to_string()),
    }
}

fn put_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

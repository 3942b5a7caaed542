use super::*;

fn parse(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(text, &FilterLimits::default())
}

fn refused(text: &str) -> (String, String) {
    let error = parse(text).expect_err(text);
    (error.path, error.reason)
}

#[test]
fn what_is_written_is_read_again() {
    let texts = [
        r#"{}"#,
        r#"{"a":1}"#,
        r#"{"a":{"$gte":1,"$lt":2.5},"b.c":"x\"y","d":null,"e":true}"#,
        r#"{"$and":[{"a":1}]}"#,
        r#"{"$or":[{},{"a":{"$in":[1,"x",null,false,-7.0e300]}}],"$not":{"$and":[{"b":{"$nin":[]}},{}]}}"#,
        r#"{"n":170141183460469231731687303715884105727,"m":{"$ne":-0.0},"k":18446744073709551616}"#,
        r#"{"t":{"$gt":"2024-05-01T12:00:00Z","$lte":"z"},"p":{"$prefix":""},"w":{"$match":"Two words"}}"#,
        r#"{"g":{"$geo_radius":{"lat":1,"lon":-2.5,"radius_m":1e3}},"x":{"$exists":false},"\u00e9":"\ud83e\udd80"}"#,
    ];
    for text in texts {
        let filter = parse(text).unwrap();
        assert_eq!(parse(&filter.to_text()).unwrap(), filter, "{text}");
        assert_eq!(filter.to_text(), parse(&filter.to_text()).unwrap().to_text());
    }
}

#[test]
fn refusals_say_where_and_what_instead() {
    let third = r#"{"$and":[{},{},{},{"size":{"$gte":true}}]}"#;
    assert_eq!(
        refused(third),
        ("filter.$and[3].size.$gte".into(), "expected a number or a string, found true or false".into())
    );
    assert_eq!(
        refused(r#"{"a":{"$gtee":1}}"#),
        ("filter.a.$gtee".into(), "unknown operator; did you mean $gte?".into())
    );
    assert!(refused(r#"{"$adn":[]}"#).1.contains("$and"));
    assert!(refused(r#"{"$gte":1}"#).1.contains("belongs under a field"));
    assert!(refused(r#"{"a":{"$not":{"$gt":1}}}"#).1.contains("whole filters"));
    assert_eq!(refused(r#"{"a":1,"a":2}"#).0, "filter.a");
    assert!(refused(r#"{"a":{"$gt":1,"$gt":2}}"#).1.contains("twice"));
    assert!(refused(r#"{"a":{"b":1}}"#).1.contains("\"a.b\""));
    assert!(refused(r#"{"a":[1]}"#).1.contains("$in"));
    assert!(refused(r#"{"a":{}}"#).1.contains("no operator"));
    assert!(refused(r#"{"a..b":1}"#).1.contains("empty parts"));
    assert!(refused(r#"{"$or":[]}"#).1.contains("empty list"));
    assert!(refused(r#"{"a":{"$in":1}}"#).1.contains("found a number"));
    assert!(refused(r#"{"a":{"$in":[[1]]}}"#).0.ends_with("$in[0]"));
    assert!(refused(r#"{"a":{"$match":" ,"}}"#).1.contains("no words"));
    assert!(refused(r#"{"a":{"$geo_radius":{"lat":1,"lng":2,"radius_m":3}}}"#).1.contains("lon"));
    assert!(refused(r#"{"a":{"$geo_radius":{"lat":91,"lon":2,"radius_m":3}}}"#).1.contains("-90 to 90"));
    assert!(refused(r#"{"a":{"$geo_radius":{"lat":9,"lon":2}}}"#).1.contains("radius_m is missing"));
    assert!(refused(r#"{"a":1e999}"#).1.contains("out of range"));
    assert!(refused(r#"{"a":1"#).1.contains("at byte 6"));
    assert!(refused(r#"{"a":1} x"#).1.contains("end of the text"));
    assert!(refused("[]").1.contains("found a list"));
    assert!(refused("").1.contains("end of the text"));
}

#[test]
fn limits_are_named() {
    let many: Vec<String> = (0..257).map(|i| format!("{{\"f{i}\":1}}")).collect();
    assert!(refused(&format!("{{\"$or\":[{}]}}", many.join(","))).1.contains("256 clauses"));
    let nested = |n: usize| format!("{}{{\"a\":1}}{}", "{\"$not\":".repeat(n), "}".repeat(n));
    assert!(parse(&nested(15)).is_ok());
    assert!(refused(&nested(16)).1.contains("16 levels"));
    // An object of two members is one level of AND, read and written.
    let pair = |n: usize| format!("{}{{\"a\":1,\"b\":2}}{}", "{\"$not\":".repeat(n), "}".repeat(n));
    let deepest = parse(&pair(14)).unwrap();
    assert_eq!(parse(&deepest.to_text()).unwrap(), deepest);
    assert!(refused(&pair(15)).1.contains("16 levels"));
    let long: Vec<String> = (0..10_001).map(|i| i.to_string()).collect();
    assert!(refused(&format!("{{\"a\":{{\"$in\":[{}]}}}}", long.join(","))).1.contains("10000 values"));
    assert!(refused(&format!("{{\"{}a\":1}}", "a.".repeat(32))).1.contains("33 parts"));
}

#[test]
fn deep_input_is_refused_not_followed() {
    for open in [
        "{\"$not\":",
        "{\"$and\":[",
        "{\"a\":",
        "[",
        "{\"a\":{\"$in\":[",
        "{\"a\":{\"$geo_radius\":{\"lat\":",
    ] {
        assert!(parse(&open.repeat(100_000)).is_err());
        assert!(Filter::parse(&open.repeat(100_000), &FilterLimits::REPLICATED).is_err());
    }
}

#[test]
fn fields_are_listed_once() {
    let filter = parse(r#"{"b":1,"$or":[{"a.c":2},{"$not":{"b":{"$exists":true}}}]}"#).unwrap();
    assert_eq!(filter.fields(), ["a.c", "b"]);
}

#[test]
fn text_bounds_compare_as_instants_only_among_datetimes() {
    let bound = TextBound::new("2024-05-01T12:00:00Z".into());
    assert!(bound.order_of("2024-05-01T13:30:00+02:00").is_lt());
    assert!(bound.order_of("2024-05-01T14:00:00+02:00").is_eq());
    assert!(bound.order_of("2024-05-02").is_gt());
}

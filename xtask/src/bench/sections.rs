//! Results in sections, each with what it was measured on, so that a part can be measured again without the rest.

use super::machine;
use serde_json::Value;

/// What must be the same for a section of an earlier run to stay.
const SAME: [&str; 4] = ["schema", "hardware", "dataset", "settings"];

/// Puts what was just measured into `result`, beside the sections of an earlier run, which keep their own date and
/// commit.
pub fn merge(result: &mut Value, earlier: Option<&[u8]>, measured: &Value, load_before: &str, command: &str) {
    let earlier: Option<Value> = earlier.and_then(|bytes| serde_json::from_slice(bytes).ok());
    if let Some(earlier) = earlier.filter(|other| SAME.iter().all(|key| other[key] == result[key])) {
        result["sections"] = earlier["sections"].clone();
    }
    for (section, mut rows) in measured.as_object().cloned().unwrap_or_default() {
        rows["load_before"] = load_before.into();
        rows["load_after"] = machine::load().into();
        rows["commit"] = machine::commit().into();
        rows["date"] = machine::date().into();
        rows["command"] = command.into();
        result["sections"][section] = rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sections_not_measured_again_stay_if_all_else_is_the_same() {
        let earlier =
            json!({"schema": 1, "hardware": 2, "sections": {"a": {"date": "then"}, "b": {"date": "then"}}});
        let bytes = serde_json::to_vec(&earlier).unwrap();
        let merged = |hardware: u64| {
            let mut result = json!({"schema": 1, "hardware": hardware, "sections": {}});
            merge(&mut result, Some(&bytes), &json!({"b": {"rows": []}}), "1 2 3", "bench");
            result["sections"].clone()
        };
        let same = merged(2);
        assert_eq!((&same["a"]["date"], &same["b"]["command"]), (&json!("then"), &json!("bench")));
        assert_ne!(same["b"]["date"], json!("then"));
        assert_eq!(merged(3).as_object().unwrap().len(), 1);
    }
}

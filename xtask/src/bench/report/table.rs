//! Tables in Markdown.

use serde_json::Value;

/// A table of these columns and rows.
pub fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = columns.iter().map(ToString::to_string).collect();
    let rule = format!("|{}\n", "---|".repeat(columns.len()));
    line(&head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// A number with so many digits after the point; a dash for none, text as it is.
pub fn number(value: &Value, digits: usize) -> String {
    match (value.as_f64(), value) {
        (Some(number), _) => format!("{number:.digits$}"),
        (None, Value::String(text)) => text.clone(),
        (None, Value::Bool(yes)) => if *yes { "yes" } else { "no" }.into(),
        _ => "–".into(),
    }
}

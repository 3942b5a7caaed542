//! The words of a text, as `$match` sees them: runs of letters and digits, without regard to case.

/// Calls `word` for every run of alphanumeric characters.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty())
}

/// The lower-cased words of a query, each once, in order.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> =
        runs(text).map(|run| run.chars().flat_map(char::to_lowercase).collect()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Whether every word (from [`words`], at most 64) occurs in `text`.
pub fn has_all(text: &str, words: &[String]) -> bool {
    let wanted = if words.len() >= 64 { u64::MAX } else { (1 << words.len()) - 1 };
    let mut found = 0u64;
    for run in runs(text) {
        for (i, word) in words.iter().enumerate().take(64) {
            if found & (1 << i) == 0 && same(run, word) {
                found |= 1 << i;
            }
        }
        if found == wanted {
            return true;
        }
    }
    found == wanted
}

fn same(run: &str, lower: &str) -> bool {
    if run.is_ascii() {
        return run.eq_ignore_ascii_case(lower);
    }
    run.chars().flat_map(char::to_lowercase).eq(lower.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_must_occur_whole() {
        let text = "Modular compiler and Toolchain-technologies, Ökologie";
        for query in ["compiler", "TOOLCHAIN modular", "and, and", "ökologie", ""] {
            assert!(has_all(text, &words(query)), "{query}");
        }
        for query in ["comp", "compiler linker", "okologie"] {
            assert!(!has_all(text, &words(query)), "{query}");
        }
    }
}

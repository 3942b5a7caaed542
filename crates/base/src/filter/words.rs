//! The words of a text, as `$match` sees them: runs of letters and digits, without regard to case.

/// Every run of letters and digits of a text, in order.
pub fn runs(text: &str) -> impl Iterator<Item = &str> {
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
    let mut missing = Missing { words, found: 0 };
    if words.is_empty() {
        return true;
    }
    if text.is_ascii() {
        // Most text; bytes are several times faster than characters.
        let mut runs = text.as_bytes().split(|b| !b.is_ascii_alphanumeric());
        return runs.any(|run| missing.strike(run.len(), |word| run.eq_ignore_ascii_case(word.as_bytes())));
    }
    runs(text).any(|run| missing.strike(0, |word| same(run, word)))
}

/// The words that have not been found yet.
struct Missing<'a> {
    words: &'a [String],
    found: u64,
}

impl Missing<'_> {
    /// Strikes out the words that `is` accepts, of those that have `len` bytes unless that is zero. Whether
    /// none is missing any more.
    fn strike(&mut self, len: usize, is: impl Fn(&str) -> bool) -> bool {
        for (i, word) in self.words.iter().enumerate().take(64) {
            if (len == 0 || len == word.len()) && self.found & (1 << i) == 0 && is(word) {
                self.found |= 1 << i;
            }
        }
        self.found.count_ones() as usize >= self.words.len().min(64)
    }
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

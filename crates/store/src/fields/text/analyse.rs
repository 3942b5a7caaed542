//! From a text to words.
//!
//! A text is first cut into runs of letters and digits, as `$match` cuts it, so that whatever `$match` calls a word
//! leads to the words that the index has of it, and to those alone. Then a run that is not ASCII is cut where
//! Unicode sees words in it (UAX #29), which parts scripts that put no spaces between words; and words become stems
//! if the index has a language (the Snowball stemmers).

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;
use vectron_base::filter::{Language, TextAnalysis, runs};

/// Bytes of a word beyond which its end is cut off.
pub(super) const WORD_BYTES_MAX: usize = 64;

/// Makes words the way one index wants them.
pub(crate) struct Analyser {
    stemmer: Option<Stemmer>,
}

fn algorithm(language: Language) -> Option<Algorithm> {
    Some(match language {
        Language::None => return None,
        Language::Arabic => Algorithm::Arabic,
        Language::Danish => Algorithm::Danish,
        Language::Dutch => Algorithm::Dutch,
        Language::English => Algorithm::English,
        Language::Finnish => Algorithm::Finnish,
        Language::French => Algorithm::French,
        Language::German => Algorithm::German,
        Language::Greek => Algorithm::Greek,
        Language::Hungarian => Algorithm::Hungarian,
        Language::Italian => Algorithm::Italian,
        Language::Norwegian => Algorithm::Norwegian,
        Language::Portuguese => Algorithm::Portuguese,
        Language::Romanian => Algorithm::Romanian,
        Language::Russian => Algorithm::Russian,
        Language::Spanish => Algorithm::Spanish,
        Language::Swedish => Algorithm::Swedish,
        Language::Tamil => Algorithm::Tamil,
        Language::Turkish => Algorithm::Turkish,
    })
}

impl Analyser {
    pub fn new(analysis: TextAnalysis) -> Analyser {
        let algorithm = algorithm(analysis.language).filter(|_| analysis.stemming);
        Analyser { stemmer: algorithm.map(Stemmer::create) }
    }

    /// Whether words stay what they are, up to their longest length.
    pub fn is_plain(&self) -> bool {
        self.stemmer.is_none()
    }

    /// Calls `each` for every word of a text, in order.
    pub fn words(&self, text: &str, mut each: impl FnMut(&str)) {
        let mut lower = String::new();
        for run in runs(text) {
            self.run(run, &mut lower, &mut |word| each(&self.stem(word)));
        }
    }

    /// The words of one run before they become stems.
    pub fn unstemmed(&self, run: &str) -> Vec<String> {
        let mut words = Vec::new();
        self.run(run, &mut String::new(), &mut |word| words.push(word.to_string()));
        words
    }

    /// The stem of a word, or the word.
    pub fn stem<'a>(&self, word: &'a str) -> std::borrow::Cow<'a, str> {
        match &self.stemmer {
            Some(stemmer) => stemmer.stem(word),
            None => word.into(),
        }
    }

    fn run(&self, run: &str, lower: &mut String, each: &mut dyn FnMut(&str)) {
        lower.clear();
        if run.is_ascii() {
            lower.push_str(run);
            lower.make_ascii_lowercase();
            return each(cut(lower));
        }
        lower.extend(run.chars().flat_map(char::to_lowercase));
        let words = lower.split_word_bounds().filter(|word| word.contains(char::is_alphanumeric));
        words.for_each(|word| each(cut(word)));
    }
}

fn cut(word: &str) -> &str {
    let end = word.floor_char_boundary(WORD_BYTES_MAX);
    word.get(..end).unwrap_or(word)
}

/// The words of one point's field: each of them once, and their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tokens {
    /// All words, one after the other, as they come.
    text: String,
    /// Where each word ends; an empty one stands between two values.
    ends: Vec<u32>,
}

impl Tokens {
    /// Adds a value. Phrases do not reach from one value into the next.
    pub fn add(&mut self, analyser: &Analyser, value: &str) {
        if !self.ends.is_empty() {
            self.ends.push(self.text.len() as u32);
        }
        analyser.words(value, |word| {
            self.text.push_str(word);
            self.ends.push(self.text.len() as u32);
        });
    }

    /// The words in order; an empty one stands between two values.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| self.text.get(*start as usize..*end as usize).unwrap_or(""))
    }

    /// Words, and ends of values between them.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(language: Language, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        let analysis = TextAnalysis::new(Some(language), None).unwrap();
        Analyser::new(analysis).words(text, |word| words.push(word.into()));
        words
    }

    #[test]
    fn words_are_lower_case_and_stems_are_those_of_their_language() {
        assert_eq!(
            words(Language::None, "C++ libraries, Größe 3.14"),
            ["c", "libraries", "größe", "3", "14"]
        );
        assert_eq!(words(Language::English, "Libraries for searching"), ["librari", "for", "search"]);
        assert_eq!(words(Language::German, "Bibliotheken"), words(Language::German, "Bibliothek"));
        assert_eq!(words(Language::None, "東京都 abc"), ["東", "京", "都", "abc"]);
        let long = "é".repeat(100);
        assert_eq!(words(Language::None, &long), ["é".repeat(32)]);
        assert!(words(Language::None, " ,;\u{301} ").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// A panic in a stemmer would reach every replica.
        #[test]
        fn no_language_fails_on_any_text(text in prop_oneof!["\\PC{0,40}", "[a-zà-ÿα-ωа-яء-ي'ıİğ஀-௿]{0,24}"]) {
            for language in Language::ALL {
                words(*language, &text);
            }
        }

        /// What accelerates `$match`: a text that has a word has all that the index makes of that word.
        #[test]
        fn a_run_gives_the_same_words_wherever_it_stands(before in "\\PC{0,8}", word in "\\PC{1,8}", after in "\\PC{0,8}") {
            let text = format!("{before} {word} {after}");
            for language in [Language::None, Language::English, Language::Turkish] {
                let all = words(language, &text);
                for run in vectron_base::filter::words(&word) {
                    for part in words(language, &run) {
                        prop_assert!(all.contains(&part), "{part} of {run}");
                    }
                }
            }
        }
    }
}

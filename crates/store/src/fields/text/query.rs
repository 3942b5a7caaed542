//! What is asked of a text: words, phrases in quotes, beginnings of words.

use super::analyse::Analyser;
use super::score::Bm25;
use std::collections::BTreeMap;
use vectron_base::filter::runs;

/// Most different words, phrases and prefixes of one query, and most words of one phrase.
const CLAUSES_MAX: usize = 256;

/// Whether a point must have one of the words or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextOperator {
    /// One is enough; those that it has add up.
    #[default]
    Or,
    /// All of them.
    And,
}

/// A text search of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct TextQuery {
    /// Dotted path of a field with a text index.
    pub field: String,
    /// Words; `"several words"` in double quotes must stand next to each other in this order; `word*` stands for
    /// every word that starts so. A quote without its end is no quote.
    pub text: String,
    /// One or all.
    pub operator: TextOperator,
    /// How scores are made.
    pub bm25: Bm25,
}

impl TextQuery {
    /// Any of these words, scored as usual.
    pub fn new(field: &str, text: &str) -> TextQuery {
        let (operator, bm25) = Default::default();
        TextQuery { field: field.into(), text: text.into(), operator, bm25 }
    }
}

/// A part of a query that a row has or has not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Clause {
    Word(String),
    /// At least two words.
    Phrase(Vec<String>),
    /// Words that start so, or that are the stem `whole`.
    Prefix {
        start: String,
        whole: String,
    },
}

/// A query's parts, each once.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    /// In order, with how often they were written.
    pub(super) clauses: Vec<(Clause, u32)>,
}

impl Parsed {
    /// The parts of a text, or what is wrong with it.
    pub fn new(text: &str, analyser: &Analyser) -> Result<Parsed, String> {
        let mut clauses = Clauses::default();
        let mut rest = text;
        while let Some((before, quoted, after)) = quoted(rest) {
            clauses.add_words(before, analyser);
            clauses.add_phrase(quoted, analyser);
            rest = after;
        }
        clauses.add_words(rest, analyser);
        let count = clauses.0.len();
        let longest = clauses.0.keys().map(|clause| match clause {
            Clause::Phrase(words) => words.len(),
            _ => 1,
        });
        if count == 0 {
            Err("has no words".into())
        } else if count > CLAUSES_MAX || longest.max() > Some(CLAUSES_MAX) {
            Err(format!("has more than {CLAUSES_MAX} different words, or a phrase of so many"))
        } else {
            Ok(Parsed { clauses: clauses.0.into_iter().collect() })
        }
    }
}

/// What stands before, in and after the first pair of quotes.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('"')?;
    let (quoted, after) = rest.split_once('"')?;
    Some((before, quoted, after))
}

#[derive(Default)]
struct Clauses(BTreeMap<Clause, u32>);

impl Clauses {
    fn add(&mut self, clause: Clause) {
        *self.0.entry(clause).or_default() += 1;
    }

    fn add_words(&mut self, text: &str, analyser: &Analyser) {
        let start = text.as_ptr() as usize;
        for run in runs(text) {
            let end = run.as_ptr() as usize - start + run.len();
            let open = text.get(end..).is_some_and(|rest| rest.starts_with('*'));
            let mut words = analyser.unstemmed(run);
            if let Some(last) = words.pop_if(|_| open) {
                let whole = analyser.stem(&last).into_owned();
                self.add(Clause::Prefix { start: last, whole });
            }
            words.iter().for_each(|word| self.add(Clause::Word(analyser.stem(word).into_owned())));
        }
    }

    fn add_phrase(&mut self, text: &str, analyser: &Analyser) {
        let mut words = Vec::new();
        analyser.words(text, |word| words.push(word.to_string()));
        match words.len() {
            0 => {}
            1 => words.into_iter().for_each(|word| self.add(Clause::Word(word))),
            _ => self.add(Clause::Phrase(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::filter::{Language, TextAnalysis};

    fn parsed(text: &str) -> Result<Vec<(Clause, u32)>, String> {
        let analysis = TextAnalysis::new(Some(Language::English), None).unwrap();
        Parsed::new(text, &Analyser::new(analysis)).map(|parsed| parsed.clauses)
    }

    #[test]
    fn words_phrases_and_prefixes_are_told_apart() {
        let word = |word: &str| Clause::Word(word.into());
        let phrase = |words: &[&str]| Clause::Phrase(words.iter().map(|word| word.to_string()).collect());
        let prefix = |start: &str, whole: &str| Clause::Prefix { start: start.into(), whole: whole.into() };
        let found = parsed(r#"Fast "shared libraries" lib* fast "one" "#).unwrap();
        let wanted = [
            (word("fast"), 2),
            (word("one"), 1),
            (phrase(&["share", "librari"]), 1),
            (prefix("lib", "lib"), 1),
        ];
        assert_eq!(found, wanted);
        assert_eq!(parsed("libraries*").unwrap(), [(prefix("libraries", "librari"), 1)]);
        assert_eq!(parsed(r#"an "open"#).unwrap(), [(word("an"), 1), (word("open"), 1)]);
        assert_eq!(parsed("* a * b").unwrap(), [(word("a"), 1), (word("b"), 1)]);
        for nothing in ["", "  ", "?!", "\"\" *"] {
            assert_eq!(parsed(nothing), Err("has no words".into()), "{nothing}");
        }
        let many: Vec<String> = (0..257).map(|i| format!("w{i}")).collect();
        assert!(parsed(&many.join(" ")).unwrap_err().contains("256"));
        assert!(parsed(&format!("\"{}\"", many.join(" "))).is_err());
    }
}

use super::rank::Ranked;
use super::*;
use crate::fields::text::score::Bm25;
use proptest::prelude::*;

/// Few words, so that many rows share them; one is in nearly all.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["the", "a", "of"]),
        4 => prop::sample::select(vec!["lib", "library", "libraries", "search", "searching", "größe", "東京"]),
        1 => prop::sample::select(vec!["rare", "unique", "x1", "x2"]),
    ]
    .prop_map(str::to_string)
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..12).prop_map(|words| words.join(" "))
}

/// A document: some values.
fn values() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![4 => text().prop_map(|text| vec![text]), 1 => prop::collection::vec(text(), 0..3)]
}

fn query() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => word(),
        2 => prop::collection::vec(word(), 1..4).prop_map(|words| format!("\"{}\"", words.join(" "))),
        2 => word().prop_map(|word| format!("{}*", word.chars().take(2).collect::<String>())),
    ];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join(" "))
}

/// A document as the oracle sees it.
type Values = Vec<Vec<String>>;

fn analysed(analyser: &Analyser, values: &[String]) -> Values {
    let words = |value: &String| {
        let mut words = Vec::new();
        analyser.words(value, |word| words.push(word.to_string()));
        words
    };
    values.iter().map(words).collect()
}

fn occurrences(clause: &query::Clause, document: &Values) -> usize {
    let all = || document.iter().flatten();
    match clause {
        query::Clause::Word(word) => all().filter(|w| *w == word).count(),
        query::Clause::Prefix { start, whole } => {
            all().filter(|w| w.starts_with(start) || *w == whole).count()
        }
        query::Clause::Phrase(words) => {
            document.iter().map(|value| value.windows(words.len()).filter(|w| w == words).count()).sum()
        }
    }
}

/// The formula written down once more, in doubles, over all documents.
fn naive(
    parsed: &Parsed,
    operator: TextOperator,
    bm25: &Bm25,
    documents: &BTreeMap<Row, Values>,
) -> Vec<(Row, f64)> {
    let with_words = documents.values().filter(|d| d.iter().any(|v| !v.is_empty()));
    let lengths: Vec<f64> = with_words.map(|d| d.iter().map(Vec::len).sum::<usize>() as f64).collect();
    let (count, average) = (lengths.len() as f64, lengths.iter().sum::<f64>() / lengths.len().max(1) as f64);
    let idf = |clause: &query::Clause| {
        let having = documents.values().filter(|d| occurrences(clause, d) > 0).count() as f64;
        (1.0 + (count - having + 0.5) / (having + 0.5)).ln()
    };
    let (k1, b) = (f64::from(bm25.k1), f64::from(bm25.b));
    let mut found = Vec::new();
    for (row, document) in documents {
        let length = document.iter().map(Vec::len).sum::<usize>() as f64;
        let (mut sum, mut having) = (0.0, 0);
        for (clause, times) in &parsed.clauses {
            let frequency = occurrences(clause, document) as f64;
            let idf = match clause {
                query::Clause::Phrase(words) => {
                    words.iter().map(|word| idf(&query::Clause::Word(word.clone()))).sum()
                }
                clause => idf(clause),
            };
            having += usize::from(frequency > 0.0);
            sum += f64::from(*times) * idf * frequency * (k1 + 1.0)
                / (frequency + k1 * (1.0 - b + b * length / average)).max(f64::MIN_POSITIVE);
        }
        let wanted = if operator == TextOperator::And { parsed.clauses.len() } else { 1 };
        if having >= wanted {
            found.push((*row, sum));
        }
    }
    found.sort_by(|(x, a), (y, b)| b.total_cmp(a).then(x.cmp(y)));
    found
}

/// By score, then by row, cut to what was asked for.
fn sorted(ranked: Ranked, top_k: usize) -> Vec<(f32, Row)> {
    let mut hits = ranked.hits;
    hits.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
    hits.truncate(top_k);
    hits
}

fn tokens(index: &TextIndex, values: &[String]) -> Tokens {
    let mut tokens = Tokens::default();
    values.iter().for_each(|value| tokens.add(index.analyser(), value));
    tokens
}

fn analysis() -> impl Strategy<Value = TextAnalysis> {
    use vectron_base::filter::Language;
    prop::sample::select(vec![Language::None, Language::English])
        .prop_map(|language| TextAnalysis::new(Some(language), None).unwrap_or(TextAnalysis::PLAIN))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn ranking_is_the_formula_over_every_row(
        analysis in analysis(),
        documents in prop::collection::vec((values(), 0u32..6000), 0..120),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        queries in prop::collection::vec((query(), any::<bool>(), 1usize..12, prop::option::of(1u32..5)), 1..8),
        bm25 in prop_oneof![3 => Just(Bm25::default()), 1 => (0.0f32..4.0, 0.0f32..=1.0).prop_map(|(k1, b)| Bm25 { k1, b })],
    ) {
        let mut index = TextIndex::new(analysis);
        let mut truth: BTreeMap<Row, Values> = BTreeMap::new();
        for (values, row) in &documents {
            index.remove(*row);
            index.insert(*row, &tokens(&index, values));
            truth.insert(*row, analysed(index.analyser(), values));
        }
        for at in gone {
            if let Some((_, row)) = documents.get(at.index(documents.len().max(1))) {
                index.remove(*row);
                truth.remove(row);
            }
        }
        for (text, and, top_k, allowed) in queries {
            let parsed = Parsed::new(&text, index.analyser()).unwrap();
            let operator = if and { TextOperator::And } else { TextOperator::Or };
            let stats = index.stats(&parsed);
            let allowed: Option<RowSet> = allowed.map(|n| truth.keys().copied().filter(|row| row % n == 0).collect());
            let ranking = |top_k, allowed| Ranking { operator, bm25: &bm25, stats: &stats, top_k, allowed };
            let found = sorted(index.rank(&parsed, &ranking(top_k, allowed.as_ref())), top_k);
            let mut want = naive(&parsed, operator, &bm25, &truth);
            want.retain(|(row, _)| allowed.as_ref().is_none_or(|allowed| allowed.contains(*row)));
            prop_assert_eq!(found.len(), want.len().min(top_k), "{}", text);
            for ((score, row), (_, at_rank)) in found.iter().zip(&want) {
                let (_, own) = want.iter().find(|(r, _)| r == row).unwrap();
                prop_assert!((f64::from(*score) - own).abs() < 1e-4 * own.max(1.0), "{} {}: {} {}", text, row, score, own);
                prop_assert!((own - at_rank).abs() < 1e-4 * own.max(1.0));
            }
            // What was passed over changes nothing: the longest answer begins with every shorter one, to the bit.
            let all = sorted(index.rank(&parsed, &ranking(usize::MAX, allowed.as_ref())), usize::MAX);
            prop_assert_eq!(&all[..found.len()], &found[..]);
        }
        for row in truth.keys() {
            index.remove(*row);
        }
        prop_assert_eq!((index.numbers.len(), index.rows, index.length, index.held_bytes), (0, 0, 0, 0));
        prop_assert!(index.several.is_empty());
    }

    /// Words of a common sort in many rows, where whole windows and lists are passed over.
    #[test]
    fn passing_over_rows_loses_none(
        seed in any::<u64>(),
        rows in 1000u32..9000,
        top_k in 1usize..30,
        share in prop::option::of(2u64..300),
    ) {
        let mut index = TextIndex::new(TextAnalysis::PLAIN);
        let mix = |a: u64, b: u64| vectron_base::random::mix64(seed ^ a.wrapping_mul(0x9e37_79b9).wrapping_add(b));
        for row in 0..rows {
            // Word w is in one of w + 1 rows; some rows have it several times.
            let words = (0..40u64).filter(|w| mix(u64::from(row), *w) % (w * w + 1) == 0);
            let text: Vec<String> = words.flat_map(|w| vec![format!("w{w}"); 1 + (mix(w, u64::from(row)) % 3) as usize]).collect();
            index.insert(row, &tokens(&index, &[text.join(" ")]));
        }
        let bm25 = Bm25::default();
        let allowed: Option<RowSet> =
            share.map(|share| (0..rows).filter(|row| mix(7, u64::from(*row)) % share == 0).collect());
        for text in ["w0 w1 w2 w20", "w30 w31 w1", "w0", "w3 w2 \"w0 w1\" w2*"] {
            let parsed = Parsed::new(text, index.analyser()).unwrap();
            let stats = index.stats(&parsed);
            for operator in [TextOperator::Or, TextOperator::And] {
                let ranking = |top_k, allowed| Ranking { operator, bm25: &bm25, stats: &stats, top_k, allowed };
                let best = index.rank(&parsed, &ranking(top_k, allowed.as_ref()));
                let all = index.rank(&parsed, &ranking(usize::MAX, None));
                let mut all = sorted(all, usize::MAX);
                all.retain(|(_, row)| allowed.as_ref().is_none_or(|allowed| allowed.contains(*row)));
                all.truncate(top_k);
                prop_assert_eq!(sorted(best, top_k), all, "{} {:?}", text, operator);
            }
        }
    }
}

#[test]
fn common_words_are_set_aside_when_they_cannot_matter() {
    let mut index = TextIndex::new(TextAnalysis::PLAIN);
    for row in 0..20_000u32 {
        let rare = if row % 500 == 0 { " rare" } else { "" };
        index.insert(row, &tokens(&index, &[format!("the{rare} word {}", row % 7)]));
    }
    let parsed = Parsed::new("the rare word", index.analyser()).unwrap();
    let (stats, bm25) = (index.stats(&parsed), Bm25::default());
    let ranking =
        Ranking { operator: TextOperator::Or, bm25: &bm25, stats: &stats, top_k: 10, allowed: None };
    let found = index.rank(&parsed, &ranking);
    assert_eq!(found.postings, 40_040);
    assert!(found.scored < found.postings / 3, "{found:?}");
    assert!(found.hits.iter().all(|(_, row)| row % 500 == 0));
}

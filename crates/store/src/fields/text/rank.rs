//! The best rows of a query.
//!
//! Any word will do: rows are gone through in windows. In each, the words that could not lift a row among the best
//! even together are set aside, the others are added up for the whole window, and only rows that could still make it
//! are asked for the rest (MaxScore: Turtle and Flood, "Query Evaluation: Strategies and Optimizations", 1995, with
//! bounds by block: Ding and Suel, SIGIR 2011, here by window). Few allowed rows, or all words wanted: the rows of
//! the shortest list are gone through, and looked up in the others.

use super::TextIndex;
use super::postings::{Posting, Postings};
use super::query::{Clause, Parsed, TextOperator};
use super::score::{Bm25, Scorer, TextStats, alike, shown};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Deref;
use vectron_index::{Row, RowSet};

/// Rows of a window: their sums stay in the nearest cache.
const WINDOW: usize = 2048;
/// Postings gone through in the time of one look-up.
const LOOK_UP: u64 = 6;

/// How rows are ranked.
pub(crate) struct Ranking<'a> {
    pub operator: TextOperator,
    pub bm25: &'a Bm25,
    pub stats: &'a TextStats,
    pub top_k: usize,
    /// Rows that may be returned; `None` stands for all.
    pub allowed: Option<&'a RowSet>,
}

/// The best rows, and what it took.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ranked {
    /// Rows with their scores, in no order: the best `top_k`, and all others that score what the last of them does.
    pub hits: Vec<(f32, Row)>,
    /// Postings of the query's words.
    pub postings: u64,
    /// Those of them that were scored.
    pub scored: u64,
    /// Rows whose score was worked out to the end.
    pub candidates: u64,
}

impl Ranked {
    /// Bytes of the postings that were scored.
    pub fn bytes(&self) -> u64 {
        self.scored * size_of::<Posting>() as u64
    }
}

/// A clause and where it is being read.
struct List<'a> {
    postings: Rows<'a>,
    scorer: Scorer,
    /// The first block that ends in the window or after it.
    block: usize,
    /// No row of the window scores more.
    most: u64,
}

/// Rows of a word, or of a clause that is no single word.
enum Rows<'a> {
    Held(&'a Postings),
    Made(Postings),
}

impl Deref for Rows<'_> {
    type Target = Postings;

    fn deref(&self) -> &Postings {
        match self {
            Rows::Held(postings) => postings,
            Rows::Made(postings) => postings,
        }
    }
}

impl TextIndex {
    /// What scores of the query rest on, in this index.
    pub fn stats(&self, parsed: &Parsed) -> TextStats {
        let mut terms = BTreeMap::new();
        for (clause, _) in &parsed.clauses {
            match clause {
                Clause::Word(word) => _ = terms.insert(word.clone(), self.having(word)),
                Clause::Phrase(words) => {
                    terms.extend(words.iter().map(|word| (word.clone(), self.having(word))));
                }
                Clause::Prefix { start, whole } => {
                    let mut rows = RowSet::new();
                    self.starting(start, whole).flat_map(Postings::iter).for_each(|p| _ = rows.insert(p.row));
                    terms.insert(format!("{start}*"), rows.len());
                }
            }
        }
        TextStats { points: self.rows, words: self.length, terms }
    }

    fn having(&self, word: &str) -> u64 {
        self.postings(word).map_or(0, |postings| postings.len() as u64)
    }

    /// The best rows.
    pub fn rank(&self, parsed: &Parsed, ranking: &Ranking<'_>) -> Ranked {
        let mut lists = Vec::with_capacity(parsed.clauses.len());
        for (clause, times) in &parsed.clauses {
            let idf = match clause {
                Clause::Word(word) => ranking.stats.idf(word),
                Clause::Phrase(words) => words.iter().map(|word| ranking.stats.idf(word)).sum(),
                Clause::Prefix { start, .. } => ranking.stats.idf(&format!("{start}*")),
            };
            let scorer = Scorer::new(ranking.bm25, ranking.stats, idf * f64::from(*times));
            match self.list(clause) {
                Some(postings) => lists.push(List { postings, scorer, block: 0, most: 0 }),
                None if ranking.operator == TextOperator::And => return Ranked::default(),
                None => {}
            }
        }
        let mut best = Best::new(ranking.top_k);
        best.found.postings = lists.iter().map(|list| list.postings.len() as u64).sum();
        let looked_up = |rows: u64| rows * lists.len() as u64 * LOOK_UP;
        match (ranking.operator, ranking.allowed) {
            (TextOperator::And, allowed) => every(lists, allowed, &mut best),
            (TextOperator::Or, Some(allowed)) if looked_up(allowed.len()) < best.found.postings => {
                of_rows(lists, allowed, &mut best);
            }
            (TextOperator::Or, allowed) => any(lists, allowed, &mut best),
        }
        best.finish()
    }

    /// The rows of a clause, if there are any.
    fn list(&self, clause: &Clause) -> Option<Rows<'_>> {
        let list = match clause {
            Clause::Word(word) => Rows::Held(self.postings(word)?),
            Clause::Phrase(words) => Rows::Made(Postings::of(&self.phrase(words))),
            Clause::Prefix { start, whole } => Rows::Made(Postings::of(&self.prefix(start, whole))),
        };
        (list.len() > 0).then_some(list)
    }

    /// Rows where the words follow each other, with how often they do.
    fn phrase(&self, words: &[String]) -> Vec<Posting> {
        let numbers = words.iter().map(|word| self.numbers.get(word.as_str()).copied());
        let Some(numbers) = numbers.collect::<Option<Vec<u32>>>() else { return Vec::new() };
        let different: BTreeSet<u32> = numbers.iter().copied().collect();
        let mut lists: Vec<_> = different.iter().filter_map(|number| self.postings_of(*number)).collect();
        lists.sort_by_key(|list| list.len());
        let Some((shortest, others)) = lists.split_first() else { return Vec::new() };
        let mut blocks = vec![0; others.len()];
        let (mut found, mut read) = (Vec::new(), Vec::new());
        for posting in shortest.iter() {
            let mut others = others.iter().zip(&mut blocks);
            if others.all(|(list, block)| look_up(list, posting.row, block).is_some()) {
                let times = self.times(posting.row, &numbers, &mut read);
                if times > 0 {
                    found.push(Posting { frequency: u16::try_from(times).unwrap_or(u16::MAX), ..*posting });
                }
            }
        }
        found
    }

    /// How often the words follow each other in a row. `read` is room to work in.
    fn times(&self, row: Row, wanted: &[u32], read: &mut Vec<u32>) -> usize {
        let Some(document) = self.documents.get(row as usize) else { return 0 };
        read.clear();
        read.extend(document.numbers());
        read.windows(wanted.len()).filter(|window| *window == wanted).count()
    }

    /// Rows with a word that starts so, with how often they have one.
    fn prefix(&self, start: &str, whole: &str) -> Vec<Posting> {
        let lists: Vec<&Postings> = self.starting(start, whole).collect();
        if let [only] = lists.as_slice() {
            return only.iter().copied().collect();
        }
        let mut together: Vec<Option<(u16, u16)>> = vec![None; self.documents.len()];
        for posting in lists.into_iter().flat_map(Postings::iter) {
            if let Some(place) = together.get_mut(posting.row as usize) {
                let frequency = place.map_or(0, |(frequency, _)| frequency).saturating_add(posting.frequency);
                *place = Some((frequency, posting.length));
            }
        }
        let rows = together.into_iter().enumerate();
        let posting = |(row, place): (usize, Option<(u16, u16)>)| {
            place.map(|(frequency, length)| Posting { row: row as Row, frequency, length })
        };
        rows.filter_map(posting).collect()
    }
}

/// A row's posting; rows are asked for in ascending order, `block` remembers where the last one was.
fn look_up<'a>(list: &'a Postings, row: Row, block: &mut usize) -> Option<&'a Posting> {
    *block = list.block_of(row, *block);
    list.blocks().get(*block)?.find(row)
}

impl List<'_> {
    fn score(&mut self, row: Row) -> Option<u64> {
        look_up(&self.postings, row, &mut self.block).map(|posting| self.scorer.score(posting))
    }

    /// Goes to a window: the first row from its start on that is in a block, if any.
    fn enter(&mut self, start: Row, end: Row) -> Option<Row> {
        self.block = self.postings.block_of(start, self.block);
        let blocks = self.postings.blocks().get(self.block..).unwrap_or(&[]);
        let within = blocks.iter().take_while(|block| block.first() < end);
        self.most = within.map(|block| self.scorer.most(block.offer())).max().unwrap_or(0);
        blocks.first().map(|block| block.first().max(start))
    }

    /// Adds the scores of the rows of a window; how many.
    fn add_to(&self, sums: &mut [u64; WINDOW], start: Row, end: Row) -> u64 {
        let mut added = 0;
        for block in self.postings.blocks().get(self.block..).unwrap_or(&[]) {
            if block.first() >= end {
                break;
            }
            let mut postings = block.postings();
            if block.first() < start {
                postings = postings.split_at(postings.partition_point(|p| p.row < start)).1;
            }
            if block.last() >= end {
                postings = postings.split_at(postings.partition_point(|p| p.row < end)).0;
            }
            added += postings.len() as u64;
            for posting in postings {
                // Always below: the mask says so to the compiler.
                sums[(posting.row - start) as usize % WINDOW] += self.scorer.score(posting);
            }
        }
        added
    }
}

/// Rows with any of the words.
fn any(mut lists: Vec<List<'_>>, allowed: Option<&RowSet>, best: &mut Best) {
    let mut sums = [0u64; WINDOW];
    let mut start: Row = 0;
    while !lists.is_empty() {
        let end = start.saturating_add(WINDOW as Row);
        let mut next = Row::MAX;
        lists.retain_mut(|list| match list.enter(start, end) {
            Some(row) => {
                next = next.min(row);
                true
            }
            None => false,
        });
        if next >= end {
            start = next / WINDOW as Row * WINDOW as Row;
            continue;
        }
        lists.sort_unstable_by_key(|list| list.most);
        // Those that reach nothing together are set aside.
        let mut aside = 0;
        let mut reach = 0;
        for list in &lists {
            if reach + list.most >= best.least {
                break;
            }
            reach += list.most;
            aside += 1;
        }
        let (rest, added) = lists.split_at_mut(aside);
        if !added.is_empty() {
            for list in added.iter() {
                best.found.scored += list.add_to(&mut sums, start, end);
            }
            for (at, sum) in sums.iter_mut().enumerate() {
                let sum = std::mem::take(sum);
                if sum == 0 || sum + reach < best.least {
                    continue;
                }
                let row = start + at as Row;
                if allowed.is_none_or(|allowed| allowed.contains(row)) {
                    complete(row, sum, reach, rest, best);
                }
            }
        }
        start = end;
    }
}

/// Adds what the words that were set aside give a row, as long as it may still make it.
fn complete(row: Row, mut sum: u64, mut reach: u64, rest: &mut [List<'_>], best: &mut Best) {
    for list in rest.iter_mut().rev() {
        if sum + reach < best.least {
            return;
        }
        reach -= list.most;
        best.found.scored += 1;
        sum += list.score(row).unwrap_or(0);
    }
    best.offer(row, sum);
}

/// Given rows with any of the words.
fn of_rows(mut lists: Vec<List<'_>>, rows: &RowSet, best: &mut Best) {
    for row in rows.iter() {
        let scores = lists.iter_mut().filter_map(|list| list.score(row));
        let (count, sum) = scores.fold((0, 0), |(count, sum), score| (count + 1, sum + score));
        if count > 0 {
            best.found.scored += count;
            best.offer(row, sum);
        }
    }
}

/// Rows with all of the words.
fn every(mut lists: Vec<List<'_>>, allowed: Option<&RowSet>, best: &mut Best) {
    lists.sort_by_key(|list| list.postings.len());
    let Some((shortest, others)) = lists.split_first_mut() else { return };
    let mut most = vec![0; shortest.postings.blocks().len()];
    for (most, block) in most.iter_mut().zip(shortest.postings.blocks()) {
        *most = shortest.scorer.most(block.offer());
    }
    let reach: u64 = others.iter().map(List::most_ever).sum();
    for (block, most) in shortest.postings.blocks().iter().zip(most) {
        if most + reach < best.least {
            continue;
        }
        for posting in block.postings() {
            let mut sum = shortest.scorer.score(posting);
            best.found.scored += 1;
            if sum + reach < best.least || allowed.is_some_and(|allowed| !allowed.contains(posting.row)) {
                continue;
            }
            let all = others.iter_mut().all(|list| {
                best.found.scored += 1;
                list.score(posting.row).map(|score| sum += score).is_some()
            });
            if all {
                best.offer(posting.row, sum);
            }
        }
    }
}

impl List<'_> {
    fn most_ever(&self) -> u64 {
        self.postings.blocks().iter().map(|block| self.scorer.most(block.offer())).max().unwrap_or(0)
    }
}

/// The best rows so far.
struct Best {
    top_k: usize,
    /// The best `top_k` sums, the lowest on top.
    sums: BinaryHeap<Reverse<u64>>,
    /// What a row must have to count: what is shown as the lowest of them. At least one.
    least: u64,
    rows: Vec<(u64, Row)>,
    /// So many rows, and those that no longer count are thrown away.
    full: usize,
    found: Ranked,
}

impl Best {
    fn new(top_k: usize) -> Best {
        let (sums, rows, found) = Default::default();
        // With nothing wanted nothing counts.
        let least = if top_k == 0 { u64::MAX / 2 } else { 1 };
        Best { top_k, sums, least, rows, full: top_k.saturating_mul(2).saturating_add(256), found }
    }

    fn offer(&mut self, row: Row, sum: u64) {
        self.found.candidates += 1;
        if sum < self.least {
            return;
        }
        self.rows.push((sum, row));
        self.sums.push(Reverse(sum));
        if self.sums.len() > self.top_k {
            self.sums.pop();
        }
        if self.sums.len() == self.top_k
            && let Some(Reverse(lowest)) = self.sums.peek()
        {
            self.least = alike(*lowest).max(1);
        }
        if self.rows.len() >= self.full {
            self.clear();
            self.full = self.full.max(self.rows.len() * 2);
        }
    }

    fn clear(&mut self) {
        let least = self.least;
        self.rows.retain(|(sum, _)| *sum >= least);
    }

    fn finish(mut self) -> Ranked {
        self.clear();
        self.found.hits = self.rows.into_iter().map(|(sum, row)| (shown(sum), row)).collect();
        self.found
    }
}

//! What clients of a cluster draw, and how they note what they were told: the same in the simulation, where they call
//! gateways, and in front of real processes, where they speak REST.

use crate::history::{Content, DIMENSION, Ended, Id, Level, NEVER, Positions, Span, Write, WriteNumber};
use vectron_base::random::{Random, SeededRandom};

/// Sendings of one upsert at most.
pub(crate) const ATTEMPTS: u32 = 3;

/// A content.
pub(crate) fn content(random: &SeededRandom) -> Content {
    let mut vector = [0.0; DIMENSION];
    vector.iter_mut().for_each(|number| *number = random.below(32) as f32);
    Content { vector, color: random.below(3) as u8 }
}

/// One point of an upsert.
pub(crate) struct Point {
    pub(crate) id: Id,
    pub(crate) number: WriteNumber,
    pub(crate) content: Content,
    pub(crate) if_version: Option<u64>,
}

/// An upsert with everything that belongs to its retries.
pub(crate) struct Sending {
    request: u64,
    pub(crate) key: Option<String>,
    pub(crate) points: Vec<Point>,
}

impl Sending {
    /// One to four points that `id` draws, some of them on the condition of a version that the client saw, half with
    /// an idempotency key. `number` gives numbers that nobody else has.
    pub(crate) fn draw(
        random: &SeededRandom,
        number: impl Fn() -> u64,
        id: impl Fn() -> Id,
        saw: &mut Option<(Id, u64)>,
    ) -> Self {
        let mut points: Vec<Point> = Vec::new();
        let several = if random.below(4) == 0 { 2 + random.below(3) } else { 1 };
        for _ in 0..several {
            let id = id();
            if points.iter().all(|other| other.id != id) {
                points.push(Point { id, number: number(), content: content(random), if_version: None });
            }
        }
        if let [point] = points.as_mut_slice()
            && random.below(4) == 0
        {
            let (id, version) = saw.take().unwrap_or((point.id, 0));
            (point.id, point.if_version) = (id, Some(version));
        }
        // Conditions are decided anew by a retry without a key; with one they are not.
        let key = (random.below(2) == 0).then(|| format!("k{}", number()));
        Self { request: number(), key, points }
    }

    /// Whether it is sent again: in doubt, and sometimes though it was answered, for the answer must be the same.
    pub(crate) fn again(&self, random: &SeededRandom, attempt: u32, doubtful: bool) -> bool {
        self.key.is_some() && (doubtful || (attempt == 0 && random.below(8) == 0))
    }

    /// What is noted of a sending whose points ended so, and were answered as before or not.
    pub(crate) fn writes(&self, span: Span, how: impl Fn(Id) -> (Ended, bool)) -> Vec<Write> {
        let write = |point: &Point| {
            let (ended, replayed) = how(point.id);
            Write {
                span: known(span, ended),
                number: point.number,
                request: self.request,
                id: point.id,
                content: Some(point.content),
                if_version: point.if_version,
                keyed: self.key.is_some(),
                ended,
                replayed,
                existed: None,
            }
        };
        self.points.iter().map(write).collect()
    }
}

/// The span of a write that ended so: one in doubt may still happen at any time.
pub(crate) fn known(span: Span, ended: Ended) -> Span {
    if ended == Ended::Unknown { Span { returned: NEVER, ..span } } else { span }
}

/// How a write ended that was refused, or a point of one: `mismatch` is the version that a condition met.
pub(crate) fn refused(not_applied: bool, mismatch: Option<u64>) -> Ended {
    match (not_applied, mismatch) {
        (true, Some(version)) => Ended::Mismatch(version),
        (true, None) => Ended::NotApplied,
        (false, _) => Ended::Unknown,
    }
}

/// A level for a read. A client that reads its own write does so in its session; `seen` is what its token says.
pub(crate) fn level(random: &SeededRandom, own: bool, seen: impl FnOnce() -> Option<Positions>) -> Level {
    match if own { 5 } else { random.below(10) } {
        0..=4 => Level::Linearizable,
        5..=6 => seen().map_or(Level::Linearizable, Level::Session),
        7..=8 => Level::Bounded([100, 1_000, 5_000][random.below(3) as usize]),
        _ => Level::Eventual,
    }
}

/// What a token says of the shards that answered: it goes on with what the one before had seen, of failed ones too.
pub(crate) fn answered(token: Option<Positions>, failed: impl Fn(u64) -> bool) -> Positions {
    let mut positions = token.unwrap_or_default();
    positions.0.retain(|(shard, _)| !failed(*shard));
    positions
}

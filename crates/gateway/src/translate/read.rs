//! What every read has: a level, a filter, what to include, where to begin.

use super::{between_one_and, shown};
use crate::api::{Consistency, JsonText};
use crate::cursor::{Cursor, filter_hash};
use crate::knobs::{GatewayKnobs, size};
use crate::session::Session;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::Filter;
use vectron_base::ids::ShardId;
use vectron_wire::placement::Collection;
use vectron_wire::worker::{Include, ReadLevel};

/// A consistency level with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Linearizable,
    Eventual,
    Bounded(u64),
    Session(Session),
}

/// The level in a request's consistency.
pub(crate) fn level(field: &str, asked: &Consistency) -> Result<Level, Fault> {
    let foreign = |member: &str, owner: &str| {
        Fault::invalid(format!("{field}.{member}"), format!("belongs to level {owner} only"))
    };
    if asked.max_staleness_ms.is_some() && asked.level != "bounded" {
        return Err(foreign("max_staleness_ms", "bounded"));
    }
    if asked.token.is_some() && asked.level != "session" {
        return Err(foreign("token", "session"));
    }
    match asked.level.as_str() {
        "linearizable" => Ok(Level::Linearizable),
        "eventual" => Ok(Level::Eventual),
        "bounded" => match asked.max_staleness_ms {
            Some(ms @ 1..) => Ok(Level::Bounded(ms)),
            Some(0) => Err(Fault::invalid(
                format!("{field}.max_staleness_ms"),
                "must be at least 1; for nothing stale ask for linearizable",
            )),
            None => Err(Fault::invalid(
                format!("{field}.max_staleness_ms"),
                "is missing; level bounded needs how old the answer may be",
            )),
        },
        "session" => session(field, asked.token.as_deref()),
        other => Err(Fault::invalid(
            format!("{field}.level"),
            format!("must be linearizable, eventual, bounded or session, got {}", shown(other)),
        )),
    }
}

fn session(field: &str, token: Option<&str>) -> Result<Level, Fault> {
    let field = format!("{field}.token");
    let Some(token) = token else {
        let reason = "is missing; level session needs the token of an earlier answer";
        return Err(Fault::invalid(field, reason));
    };
    Session::from_token(token).map(Level::Session).ok_or_else(|| {
        Fault::invalid(field, "is not a session token of this server; pass it exactly as it came")
    })
}

/// How fresh a read of a collection must be, shard by shard.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    level: Level,
}

impl ReadPlan {
    /// The level asked for, or the collection's policy.
    pub fn of(asked: Option<&Consistency>, collection: &Collection) -> Result<Self, Fault> {
        let level = match asked {
            Some(asked) => level("consistency", asked)?,
            None => level("read_policy", &super::policy_consistency(collection.spec.read_policy))?,
        };
        if let Level::Session(session) = &level
            && session.incarnation != collection.incarnation
        {
            return Err(Fault::invalid(
                "consistency.token",
                "belongs to another collection, or to an earlier one of this name",
            ));
        }
        Ok(Self { level })
    }

    /// At least the states of a session's token.
    pub fn seen(token: &str) -> Result<Self, Fault> {
        Ok(Self { level: session("consistency", Some(token))? })
    }

    /// The level for one shard.
    pub fn for_shard(&self, shard: ShardId) -> ReadLevel {
        match &self.level {
            Level::Linearizable => ReadLevel::Linearizable,
            Level::Eventual => ReadLevel::Eventual,
            Level::Bounded(ms) => ReadLevel::Bounded(*ms),
            Level::Session(session) => ReadLevel::Session(session.of(shard)),
        }
    }

    /// Whether every replica answers alike; a linearizable read is answered soonest by the leader.
    pub fn anywhere(&self) -> bool {
        self.level != Level::Linearizable
    }

    /// The level's public name.
    pub fn name(&self) -> &'static str {
        match self.level {
            Level::Linearizable => "linearizable",
            Level::Eventual => "eventual",
            Level::Bounded(_) => "bounded",
            Level::Session(_) => "session",
        }
    }

    /// The session that the answer's token goes on from.
    pub fn session(&self, collection: &Collection) -> Session {
        match &self.level {
            Level::Session(session) => session.clone(),
            _ => Session::new(collection.incarnation),
        }
    }
}

/// What of a point to return: the payload unless declined, the vector if asked for.
pub fn include(payload: Option<bool>, vector: Option<bool>) -> Include {
    Include { payload: payload.unwrap_or(true), vector: vector.unwrap_or(false) }
}

/// The filter in a request.
pub fn parse_filter(text: Option<&JsonText>, knobs: &GatewayKnobs) -> Result<Option<Arc<Filter>>, Fault> {
    let Some(text) = text else {
        return Ok(None);
    };
    let filter = Filter::parse(text.as_str(), &knobs.filter_limits())
        .map_err(|error| Fault::invalid(error.path, error.reason))?;
    Ok(Some(Arc::new(filter)))
}

/// How many points a page has at most.
pub fn page_limit(asked: Option<u64>, knobs: &GatewayKnobs) -> Result<usize, Fault> {
    const DEFAULT: u64 = 100;
    between_one_and("limit", asked.unwrap_or(DEFAULT.min(knobs.max_page)), knobs.max_page).map(size)
}

/// The id after which a page begins; `None` for the first page.
pub fn cursor_or_start(
    text: Option<&str>,
    collection: &Collection,
    filter: Option<&Filter>,
) -> Result<Option<String>, Fault> {
    text.map(|text| Cursor::resume(text, collection.incarnation, filter_hash(filter))).transpose()
}

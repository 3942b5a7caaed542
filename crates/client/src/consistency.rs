//! How fresh a read has to be.

use serde::{Serialize, Serializer, ser::SerializeMap};
use vectron_wire::proto::public as pb;

/// A read level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged before the read began.
    Linearizable,
    /// Some committed prefix; the answer says how old.
    Eventual,
    /// Everything acknowledged more than this many milliseconds before.
    Bounded(u64),
    /// At least what the token has seen: read your writes.
    Session(String),
}

impl From<Consistency> for pb::Consistency {
    fn from(level: Consistency) -> Self {
        let (name, max_staleness_ms, token) = match level {
            Consistency::Linearizable => ("linearizable", None, None),
            Consistency::Eventual => ("eventual", None, None),
            Consistency::Bounded(ms) => ("bounded", Some(ms), None),
            Consistency::Session(token) => ("session", None, Some(token)),
        };
        pb::Consistency { level: name.into(), max_staleness_ms, token }
    }
}

impl From<pb::Consistency> for Consistency {
    fn from(level: pb::Consistency) -> Self {
        match level.level.as_str() {
            "eventual" => Consistency::Eventual,
            "bounded" => Consistency::Bounded(level.max_staleness_ms.unwrap_or_default()),
            "session" => Consistency::Session(level.token.unwrap_or_default()),
            _ => Consistency::Linearizable,
        }
    }
}

impl Serialize for Consistency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Consistency::Linearizable => serializer.serialize_str("linearizable"),
            Consistency::Eventual => serializer.serialize_str("eventual"),
            Consistency::Bounded(ms) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("level", "bounded")?;
                map.serialize_entry("max_staleness_ms", ms)?;
                map.end()
            }
            Consistency::Session(token) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("level", "session")?;
                map.serialize_entry("token", token)?;
                map.end()
            }
        }
    }
}

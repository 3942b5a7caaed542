//! Questions about one point, and their answers.

use super::worker_answer::read;
use super::{choice, each, marked, required, within};
use crate::proto::worker as pb;
use crate::proto::worker::examine_request::Subject as SubjectMessage;
use crate::proto::worker::examine_response::Examined as Message;
use crate::proto::worker::removed_point::Cause;
use crate::worker::{Examined, FailedClause, RemovalCause, Scored, ShardExamine, ShardRead, Subject};
use vectron_base::Fault;

impl From<ShardExamine> for pb::ExamineRequest {
    fn from(examine: ShardExamine) -> Self {
        let subject = match examine.subject {
            Subject::Id(id) => SubjectMessage::Id(id),
            Subject::Elsewhere { id, score } => {
                SubjectMessage::Elsewhere(pb::Elsewhere { id, score: Some(score) })
            }
        };
        Self { search: Some(examine.search.into()), subject: Some(subject) }
    }
}

impl TryFrom<pb::ExamineRequest> for ShardExamine {
    type Error = Fault;

    fn try_from(message: pb::ExamineRequest) -> Result<Self, Fault> {
        let search = required("search", message.search)?.try_into();
        let subject = match required("subject", message.subject)? {
            SubjectMessage::Id(id) => Subject::Id(id),
            SubjectMessage::Elsewhere(pb::Elsewhere { id, score }) => {
                Subject::Elsewhere { id, score: required("elsewhere.score", score)? }
            }
        };
        Ok(Self { search: search.map_err(|fault| within("search", fault))?, subject })
    }
}

impl From<FailedClause> for pb::FailedClause {
    fn from(failed: FailedClause) -> Self {
        let value = |(field, value)| pb::FieldValue { field, value };
        Self { clause: failed.clause, values: failed.values.into_iter().map(value).collect() }
    }
}

impl TryFrom<pb::FailedClause> for FailedClause {
    type Error = Fault;

    fn try_from(message: pb::FailedClause) -> Result<Self, Fault> {
        let values = message.values.into_iter().map(|value| (value.field, value.value));
        Ok(Self { clause: message.clause, values: values.collect() })
    }
}

impl From<Examined> for Message {
    fn from(examined: Examined) -> Self {
        match examined {
            Examined::Absent => Message::Absent(true),
            Examined::Removed { cause, version, log_time_ms } => {
                let cause = match cause {
                    RemovalCause::Deleted => Cause::Deleted,
                    RemovalCause::Expired => Cause::Expired,
                };
                Message::Removed(pb::RemovedPoint { cause: cause.into(), version, log_time_ms })
            }
            Examined::Filtered { version, failed } => {
                let failed = failed.into_iter().map(Into::into).collect();
                Message::Filtered(pb::FilteredPoint { version, failed })
            }
            Examined::Scored(Scored { version, score, ahead, position, ef, ef_needed }) => {
                let score = Some(score);
                Message::Scored(pb::RankedPoint { version, score, ahead, position, ef, ef_needed })
            }
            Examined::Ahead { ahead, returned } => Message::Ahead(pb::Ahead { ahead, returned }),
        }
    }
}

impl TryFrom<Message> for Examined {
    type Error = Fault;

    fn try_from(message: Message) -> Result<Self, Fault> {
        Ok(match message {
            Message::Absent(mark) => return marked("absent", mark, Examined::Absent),
            Message::Removed(removed) => {
                let cause = choice("removed.cause", removed.cause, |cause| match cause {
                    Cause::Unspecified => None,
                    Cause::Deleted => Some(RemovalCause::Deleted),
                    Cause::Expired => Some(RemovalCause::Expired),
                })?;
                Examined::Removed { cause, version: removed.version, log_time_ms: removed.log_time_ms }
            }
            Message::Filtered(filtered) => {
                let failed = each("filtered.failed", filtered.failed)?;
                Examined::Filtered { version: filtered.version, failed }
            }
            Message::Scored(pb::RankedPoint { version, score, ahead, position, ef, ef_needed }) => {
                let score = required("scored.score", score)?;
                Examined::Scored(Scored { version, score, ahead, position, ef, ef_needed })
            }
            Message::Ahead(pb::Ahead { ahead, returned }) => Examined::Ahead { ahead, returned },
        })
    }
}

impl From<ShardRead<Examined>> for pb::ExamineResponse {
    fn from(read: ShardRead<Examined>) -> Self {
        Self { delivered: Some(read.delivered.into()), examined: Some(read.value.into()) }
    }
}

impl TryFrom<pb::ExamineResponse> for ShardRead<Examined> {
    type Error = Fault;

    fn try_from(message: pb::ExamineResponse) -> Result<Self, Fault> {
        read(required("examined", message.examined)?.try_into()?, message.delivered)
    }
}

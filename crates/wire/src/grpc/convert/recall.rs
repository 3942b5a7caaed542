//! What is measured of the recall of live searches.

use super::{choice, required};
use crate::proto::worker as pb;
use crate::worker::{RecallFigure, Selectivity};
use vectron_base::Fault;

impl From<RecallFigure> for pb::RecallFigure {
    fn from(figure: RecallFigure) -> Self {
        let selectivity = match figure.selectivity {
            Selectivity::All => pb::Selectivity::All,
            Selectivity::Over10 => pb::Selectivity::Over10,
            Selectivity::From1To10 => pb::Selectivity::From1To10,
            Selectivity::Under1 => pb::Selectivity::Under1,
        };
        Self {
            selectivity: selectivity.into(),
            target: figure.target,
            samples: figure.samples,
            recall: Some(figure.recall),
            missed: figure.missed,
        }
    }
}

impl TryFrom<pb::RecallFigure> for RecallFigure {
    type Error = Fault;

    fn try_from(message: pb::RecallFigure) -> Result<Self, Fault> {
        let selectivity = choice("selectivity", message.selectivity, |selectivity| match selectivity {
            pb::Selectivity::Unspecified => None,
            pb::Selectivity::All => Some(Selectivity::All),
            pb::Selectivity::Over10 => Some(Selectivity::Over10),
            pb::Selectivity::From1To10 => Some(Selectivity::From1To10),
            pb::Selectivity::Under1 => Some(Selectivity::Under1),
        })?;
        Ok(Self {
            selectivity,
            target: message.target,
            samples: message.samples,
            recall: required("recall", message.recall)?,
            missed: message.missed,
        })
    }
}

//! Queries: what of them does not depend on the collection, and their legs as the searches that they are.

use super::formula::scoring;
use super::{between_one_and, check_field, check_point_id, include, parse_filter, shown};
use crate::api::{Example, FieldVector, QueryLeg, QueryRequest, Recommend, SearchRequest};
use crate::knobs::{GatewayKnobs, size};
use crate::rank::{Fusion, Scoring};
use std::sync::Arc;
use vectron_base::filter::Filter;
use vectron_base::{Code, Fault};
use vectron_wire::placement::Distance;
use vectron_wire::worker::Include;

/// What a query does with what its legs found.
pub struct QueryPlan {
    /// How the legs become one.
    pub fusion: Fusion,
    /// What the score becomes.
    pub scoring: Option<Scoring>,
    /// For every leg.
    pub filter: Option<Arc<Filter>>,
    /// Results at most.
    pub top_k: usize,
    /// Least final score.
    pub score_threshold: Option<f64>,
    /// Diversity, and how many candidates it chooses from.
    pub mmr: Option<(f64, usize)>,
    /// Field, groups and their size.
    pub group_by: Option<(String, usize, usize)>,
    /// What of the results.
    pub include: Include,
}

/// One leg as it was asked for.
pub struct Leg<'a> {
    /// Its place in the request: `prefetch[0]`, or empty for the recommendation beside them.
    pub path: String,
    /// What was asked for.
    pub asked: &'a QueryLeg,
    /// Candidates.
    pub limit: usize,
}

impl Leg<'_> {
    /// The search of this leg. The examples' vector stands in for them.
    pub fn search(&self, query: &QueryRequest, limit: usize, vector: Option<Vec<f32>>) -> SearchRequest {
        let QueryLeg { vector: own, vector_b64, text, using, filter, params, score_threshold, .. } =
            self.asked.clone();
        SearchRequest {
            collection: query.collection.clone(),
            vector: vector.map(FieldVector::Dense).or(own),
            vector_b64,
            text,
            using,
            top_k: Some(limit as u64),
            filter,
            include_payload: Some(false),
            include_vector: Some(false),
            score_threshold,
            consistency: query.consistency.clone(),
            timeout_ms: query.timeout_ms,
            allow_partial: query.allow_partial,
            params,
            explain: None,
        }
    }

    /// The same refusal, with the leg's place before the field.
    pub fn refused(&self, fault: Fault) -> Fault {
        if self.path.is_empty() { fault } else { under(&self.path, fault) }
    }
}

/// A refusal of a part of a request, with the part's place before its fields.
pub fn under(path: &str, mut fault: Fault) -> Fault {
    let Some(first) = fault.errors.first() else { return fault };
    fault.detail = match fault.detail.starts_with(&first.field) {
        true => format!("{path}.{}", fault.detail),
        false => format!("{path}: {}", fault.detail),
    };
    for error in &mut fault.errors {
        error.field = format!("{path}.{}", error.field);
    }
    fault
}

/// The legs of a query, in order: those of `prefetch`, then the recommendation.
pub fn legs<'a>(
    request: &'a QueryRequest,
    recommended: Option<&'a QueryLeg>,
    knobs: &GatewayKnobs,
) -> Result<Vec<Leg<'a>>, Fault> {
    let count = request.prefetch.len() as u64 + u64::from(recommended.is_some());
    if count == 0 {
        return Err(Fault::invalid("prefetch", "is missing; give at least one leg, or recommend"));
    }
    if count > knobs.max_legs {
        let reason = format!("has {count} legs, the limit is {}", knobs.max_legs);
        return Err(Fault::on_field(Code::TooLarge, "prefetch", reason));
    }
    let numbered = request.prefetch.iter().enumerate().map(|(at, asked)| (format!("prefetch[{at}]"), asked));
    let all = numbered.chain(recommended.map(|asked| (String::new(), asked)));
    all.map(|(path, asked)| {
        const LIMIT: u64 = 100;
        let leg = Leg { path, asked, limit: 0 };
        let limit = asked.limit.unwrap_or(LIMIT.min(knobs.max_top_k));
        let limit = between_one_and("limit", limit, knobs.max_top_k).map_err(|fault| leg.refused(fault))?;
        if let Some(recommend) = &asked.recommend {
            let alone = asked.vector.is_none() && asked.vector_b64.is_none() && asked.text.is_none();
            let checked = if alone {
                check_recommend(recommend, knobs)
            } else {
                Err(Fault::invalid(
                    "recommend",
                    "is given together with a vector or a text; give one of them",
                ))
            };
            checked.map_err(|fault| leg.refused(fault))?;
        }
        Ok(Leg { limit: size(limit), ..leg })
    })
    .collect()
}

fn check_recommend(recommend: &Recommend, knobs: &GatewayKnobs) -> Result<(), Fault> {
    if recommend.positive.is_empty() {
        return Err(Fault::invalid("recommend.positive", "is empty; give at least one example"));
    }
    let count = recommend.positive.len() + recommend.negative.len();
    if count as u64 > knobs.max_examples {
        let reason = format!("has {count} examples, the limit is {}", knobs.max_examples);
        return Err(Fault::on_field(Code::TooLarge, "recommend", reason));
    }
    for (list, examples) in [("positive", &recommend.positive), ("negative", &recommend.negative)] {
        for (at, example) in examples.iter().enumerate() {
            if let Example::Id(id) = example {
                check_point_id(&format!("recommend.{list}[{at}]"), &id.0)?;
            }
        }
    }
    match recommend.strategy.as_deref() {
        None | Some("average_vector") => Ok(()),
        Some(other) => {
            let reason = format!("must be average_vector, got {}", shown(other));
            Err(Fault::invalid("recommend.strategy", reason))
        }
    }
}

/// The vector that leads towards some examples and away from others.
pub fn led(positive: &[Vec<f32>], negative: &[Vec<f32>], (dimension, distance): (u32, Distance)) -> Vec<f32> {
    let dimension = dimension as usize;
    let cosine = distance == Distance::Cosine;
    let mean = |vectors: &[Vec<f32>]| {
        let mut sum = vec![0.0f64; dimension];
        for vector in vectors {
            let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let scale = if cosine && length > 0.0 { 1.0 / length } else { 1.0 };
            sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x) * scale);
        }
        let count = vectors.len().max(1) as f64;
        sum.iter_mut().for_each(|x| *x /= count);
        sum
    };
    let towards = mean(positive);
    if negative.is_empty() {
        return towards.into_iter().map(|x| x as f32).collect();
    }
    let away = mean(negative);
    towards.iter().zip(&away).map(|(towards, away)| (2.0 * towards - away) as f32).collect()
}

/// What of a query does not depend on the collection.
pub fn query_plan(request: &QueryRequest, legs: usize, knobs: &GatewayKnobs) -> Result<QueryPlan, Fault> {
    const TOP_K: u64 = 10;
    let top_k =
        between_one_and("top_k", request.top_k.unwrap_or(TOP_K.min(knobs.max_top_k)), knobs.max_top_k)?;
    if request.score_threshold.is_some_and(|score| !score.is_finite()) {
        return Err(Fault::invalid("score_threshold", "must be a finite number"));
    }
    if request.mmr.is_some() && request.group_by.is_some() {
        return Err(Fault::invalid("group_by", "cannot be used together with mmr"));
    }
    Ok(QueryPlan {
        fusion: fusion(request, legs)?,
        scoring: request.formula.as_ref().map(|text| scoring(text, knobs)).transpose()?,
        filter: parse_filter(request.filter.as_ref(), knobs)?,
        top_k: size(top_k),
        score_threshold: request.score_threshold,
        mmr: mmr(request, knobs)?,
        group_by: group_by(request, knobs)?,
        include: include(request.include_payload, request.include_vector),
    })
}

fn mmr(request: &QueryRequest, knobs: &GatewayKnobs) -> Result<Option<(f64, usize)>, Fault> {
    const CANDIDATES: u64 = 100;
    let Some(mmr) = &request.mmr else { return Ok(None) };
    let diversity = mmr.diversity.unwrap_or(0.5);
    if !(0.0..=1.0).contains(&diversity) {
        return Err(Fault::invalid("mmr.diversity", format!("must be from 0 to 1, got {diversity}")));
    }
    let most = knobs.max_mmr_candidates;
    let candidates = between_one_and("mmr.candidates", mmr.candidates.unwrap_or(CANDIDATES.min(most)), most)?;
    Ok(Some((diversity, size(candidates))))
}

fn group_by(request: &QueryRequest, knobs: &GatewayKnobs) -> Result<Option<(String, usize, usize)>, Fault> {
    let Some(group_by) = &request.group_by else { return Ok(None) };
    check_field(&group_by.field).map_err(|fault| under("group_by", fault))?;
    if request.top_k.is_some() {
        let reason = "cannot be used together with group_by; give group_by.groups and group_by.group_size";
        return Err(Fault::invalid("top_k", reason));
    }
    let most = knobs.max_groups;
    let groups = between_one_and("group_by.groups", group_by.groups.unwrap_or(10.min(most)), most)?;
    let each = between_one_and("group_by.group_size", group_by.group_size.unwrap_or(3.min(most)), most)?;
    Ok(Some((group_by.field.clone(), size(groups), size(each))))
}

fn fusion(request: &QueryRequest, legs: usize) -> Result<Fusion, Fault> {
    const K: f64 = 60.0;
    let Some(fusion) = &request.fusion else {
        let alone = legs == 1;
        return Ok(if alone {
            Fusion::Single
        } else {
            Fusion::Reciprocal { k: K, weights: vec![1.0; legs] }
        });
    };
    let weights = fusion.weights.clone().unwrap_or_else(|| vec![1.0; legs]);
    if weights.len() != legs {
        let reason = format!("has {} numbers, but there are {legs} legs", weights.len());
        return Err(Fault::invalid("fusion.weights", reason));
    }
    if let Some(at) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
        return Err(Fault::invalid(format!("fusion.weights[{at}]"), "must be a finite number, 0 or more"));
    }
    let foreign = |member: &str, owner: &str| {
        Err(Fault::invalid(format!("fusion.{member}"), format!("belongs to method {owner} only")))
    };
    match fusion.method.as_str() {
        "rrf" if fusion.normalize.is_some() => foreign("normalize", "weighted"),
        "rrf" => {
            let k = fusion.k.unwrap_or(K);
            if !k.is_finite() || k < 0.0 {
                return Err(Fault::invalid("fusion.k", "must be a finite number, 0 or more"));
            }
            Ok(Fusion::Reciprocal { k, weights })
        }
        "weighted" if fusion.k.is_some() => foreign("k", "rrf"),
        "weighted" => match fusion.normalize.as_deref() {
            None | Some("minmax") => Ok(Fusion::Weighted { weights, normalize: true }),
            Some("none") => Ok(Fusion::Weighted { weights, normalize: false }),
            Some(other) => {
                let reason = format!("must be minmax or none, got {}", shown(other));
                Err(Fault::invalid("fusion.normalize", reason))
            }
        },
        other => {
            let reason = format!("must be rrf or weighted, got {}", shown(other));
            Err(Fault::invalid("fusion.method", reason))
        }
    }
}

/// Both, where there are both.
pub fn both(own: Option<Arc<Filter>>, all: Option<&Arc<Filter>>) -> Option<Arc<Filter>> {
    match (own, all) {
        (Some(own), Some(all)) => Some(Arc::new(Filter::And(vec![(*own).clone(), (**all).clone()]))),
        (own, all) => own.or_else(|| all.cloned()),
    }
}

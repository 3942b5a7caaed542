//! The store held to a slow and obvious model, to crashes, to damage, and to the lessons.

#![allow(clippy::unwrap_used)]

mod backlog;
mod browse;
mod copies;
mod corruption;
mod crash;
mod decoding;
mod field_indexes;
mod filters;
mod full_disk;
mod graph_files;
mod interleaving;
mod lessons;
mod model;
mod model_batch;
mod order;
mod promises;
mod random_histories;
mod real_disk;
mod recall;
mod schedules;
mod scrub;
mod several_fields;
mod split_histories;
mod splits;
mod support;
mod text;
mod watched;
mod why_not;
mod writes;

//! A ranking by the values of a field.

use super::Candidate;
use std::collections::HashMap;
use vectron_base::filter::FieldValue;
use vectron_base::filter::matcher::FieldValues;

/// Candidates that share a value, in the order of the ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The value.
    pub value: FieldValue,
    /// Who has it.
    pub members: Vec<Candidate>,
}

/// The first `groups` values that the ranking meets, each with the first `size` candidates that have it. Candidates
/// need their payload.
pub fn grouped(ranking: &[Candidate], field: &str, groups: usize, size: usize) -> Vec<Group> {
    let reader = FieldValues::of(field);
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut found: Vec<Group> = Vec::new();
    for candidate in ranking {
        for value in reader.read(candidate.point.payload.as_deref().unwrap_or("{}")) {
            let key = value.to_json();
            let place = match places.get(&key) {
                Some(place) => *place,
                None if found.len() < groups => {
                    places.insert(key, found.len());
                    found.push(Group { value, members: Vec::new() });
                    found.len() - 1
                }
                None => continue,
            };
            if let Some(group) = found.get_mut(place)
                && group.members.len() < size
            {
                group.members.push(candidate.clone());
            }
        }
    }
    found
}

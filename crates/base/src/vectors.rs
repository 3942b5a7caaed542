//! What a point has in its vector fields, and the shapes that such values have. How they are compared is nothing to
//! this module.

/// Numbers at some of very many places: the others are zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl SparseVector {
    /// A vector of places and the numbers there, in any order.
    ///
    /// # Errors
    /// In words: lists of different lengths, a place twice, or a number that is not finite or is zero.
    pub fn new(indices: Vec<u32>, values: Vec<f32>) -> Result<Self, String> {
        if indices.len() != values.len() {
            return Err(format!("has {} indices and {} values", indices.len(), values.len()));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(format!("values[{at}] is not a finite number"));
        }
        if let Some(at) = values.iter().position(|value| *value == 0.0) {
            return Err(format!("values[{at}] is zero; leave the place out"));
        }
        let mut pairs: Vec<(u32, f32)> = indices.into_iter().zip(values).collect();
        pairs.sort_unstable_by_key(|(index, _)| *index);
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("has the index {} twice", pair[0].0));
        }
        let (indices, values) = pairs.into_iter().unzip();
        Ok(Self { indices, values })
    }

    /// The places, ascending.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The number at each of them.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Places with their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }
}

/// Several vectors of one dimension, in order: one per token of a text, say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultiVector {
    dimension: usize,
    values: Vec<f32>,
}

impl MultiVector {
    /// The vectors one after the other.
    ///
    /// # Errors
    /// In words: no vector, or numbers that do not make whole ones.
    pub fn new(dimension: usize, values: Vec<f32>) -> Result<Self, String> {
        if values.is_empty() || dimension == 0 || !values.len().is_multiple_of(dimension) {
            return Err(format!("has {} numbers, which is no list of vectors of {dimension}", values.len()));
        }
        Ok(Self { dimension, values })
    }

    /// Numbers per vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// All numbers.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How many vectors.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.dimension).unwrap_or(0)
    }

    /// Whether there is none: never, for one that was made by [`MultiVector::new`].
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The vectors.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> + '_ {
        self.values.chunks_exact(self.dimension.max(1))
    }
}

/// A point's value in one field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// One vector.
    Dense(Vec<f32>),
    /// A sparse one.
    Sparse(SparseVector),
    /// Several.
    Multi(MultiVector),
}

impl FieldValue {
    /// The shape, in a word.
    pub fn shape(&self) -> &'static str {
        match self {
            FieldValue::Dense(_) => "dense",
            FieldValue::Sparse(_) => "sparse",
            FieldValue::Multi(_) => "multi",
        }
    }

    /// Bytes of its numbers.
    pub fn bytes(&self) -> usize {
        match self {
            FieldValue::Dense(vector) => vector.len() * 4,
            FieldValue::Sparse(vector) => vector.len() * 8,
            FieldValue::Multi(vectors) => vectors.values.len() * 4,
        }
    }
}

/// What a point has in its vector fields, by name; the unnamed field's is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointVectors {
    fields: Vec<(Box<str>, FieldValue)>,
}

impl PointVectors {
    /// The values, each under its field's name.
    ///
    /// # Errors
    /// The name that is there twice.
    pub fn new(mut fields: Vec<(Box<str>, FieldValue)>) -> Result<Self, Box<str>> {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        match fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(pair[0].0.clone()),
            None => Ok(Self { fields }),
        }
    }

    /// A vector in the unnamed field.
    pub fn unnamed(vector: Vec<f32>) -> Self {
        Self { fields: vec![("".into(), FieldValue::Dense(vector))] }
    }

    /// The value in a field.
    pub fn get(&self, field: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|(name, _)| **name == *field).map(|(_, value)| value)
    }

    /// The vector in the unnamed field.
    pub fn dense(&self) -> Option<&[f32]> {
        match self.get("") {
            Some(FieldValue::Dense(vector)) => Some(vector),
            _ => None,
        }
    }

    /// The same, if there is nothing else.
    pub fn only_unnamed(&self) -> Option<&[f32]> {
        self.dense().filter(|_| self.fields.len() == 1)
    }

    /// Fields and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldValue)> + '_ {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }

    /// Fields and values, by name.
    pub fn into_fields(self) -> Vec<(Box<str>, FieldValue)> {
        self.fields
    }

    /// How many fields have a value.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes of all numbers and names.
    pub fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.bytes()).sum()
    }
}

impl From<Vec<f32>> for PointVectors {
    fn from(vector: Vec<f32>) -> Self {
        Self::unnamed(vector)
    }
}

impl From<&[f32]> for PointVectors {
    fn from(vector: &[f32]) -> Self {
        Self::unnamed(vector.to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_sparse_vector_is_sorted_and_what_makes_no_sense_is_refused() {
        let vector = SparseVector::new(vec![9, 2], vec![1.0, -3.0]).unwrap();
        assert_eq!(vector.iter().collect::<Vec<_>>(), [(2, -3.0), (9, 1.0)]);
        for (indices, values) in [
            (vec![1], vec![]),
            (vec![1, 1], vec![1.0, 2.0]),
            (vec![1], vec![0.0]),
            (vec![1], vec![f32::NAN]),
            (vec![1], vec![f32::NEG_INFINITY]),
        ] {
            assert!(SparseVector::new(indices, values).is_err());
        }
        assert!(SparseVector::new(vec![], vec![]).unwrap().is_empty());
    }

    #[test]
    fn several_vectors_are_whole_ones() {
        let two = MultiVector::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((two.len(), two.iter().last()), (2, Some(&[3.0, 4.0][..])));
        assert!(MultiVector::new(2, vec![1.0; 3]).is_err());
        assert!(MultiVector::new(0, vec![]).is_err() && MultiVector::new(2, vec![]).is_err());
    }

    #[test]
    fn fields_have_one_value_each() {
        let dense = |x: f32| FieldValue::Dense(vec![x]);
        let vectors = PointVectors::new(vec![("b".into(), dense(1.0)), ("".into(), dense(2.0))]).unwrap();
        assert_eq!(vectors.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["", "b"]);
        assert_eq!((vectors.dense(), vectors.only_unnamed()), (Some(&[2.0][..]), None));
        let twice = PointVectors::new(vec![("b".into(), dense(1.0)), ("b".into(), dense(2.0))]);
        assert_eq!(twice, Err("b".into()));
    }
}

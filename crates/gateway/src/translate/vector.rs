//! Vectors: one of two spellings, the right length, finite, and not zero where an angle is asked for.

use crate::api::PackedVector;
use vectron_base::{Code, Fault, FieldError};
use vectron_wire::placement::{CollectionSpec, Distance};

/// Where a vector stands in the request, for error texts.
pub struct Wanted<'a> {
    /// Path of the object that holds it, with a trailing dot: `points[7].`, or empty.
    pub path: &'a dyn std::fmt::Display,
    /// Leads the sentence: `points[7] 'a42'`, or `the query`.
    pub subject: &'a dyn Fn() -> String,
    /// The collection it is for.
    pub spec: &'a CollectionSpec,
}

impl Wanted<'_> {
    fn refuse(&self, member: &str, reason: String) -> Fault {
        let mut fault = Fault::new(Code::InvalidArgument, format!("{}: {member} {reason}", (self.subject)()));
        fault.errors.push(FieldError { field: format!("{}{member}", self.path), reason });
        fault
    }
}

/// The vector in either spelling. The packed one is named only when its packing is at fault: what the numbers
/// are is a matter of the vector, and a library may have packed it unasked.
pub fn checked_vector(
    numbers: Option<Vec<f32>>,
    packed: Option<PackedVector>,
    wanted: &Wanted<'_>,
) -> Result<Vec<f32>, Fault> {
    let vector = match (numbers, packed) {
        (Some(numbers), None) => numbers,
        (None, Some(packed)) => unpack(&packed, wanted)?,
        (Some(_), Some(packed)) => {
            let reason = format!("is given together with {}; give one of them", packed.field);
            return Err(wanted.refuse("vector", reason));
        }
        (None, None) => {
            let reason = format!("is missing; give {} numbers", wanted.spec.dimension);
            return Err(wanted.refuse("vector", reason));
        }
    };
    check(&vector, wanted)?;
    Ok(vector)
}

fn unpack(packed: &PackedVector, wanted: &Wanted<'_>) -> Result<Vec<f32>, Fault> {
    let (words, rest) = packed.bytes.as_chunks::<4>();
    if !rest.is_empty() {
        let reason =
            format!("holds {} bytes, which is not a whole number of 32-bit floats", packed.bytes.len());
        return Err(wanted.refuse(packed.field, reason));
    }
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

fn check(vector: &[f32], wanted: &Wanted<'_>) -> Result<(), Fault> {
    let spec = wanted.spec;
    let expected = spec.dimension as usize;
    if vector.len() != expected {
        let has = match vector.len() {
            0 => "is empty".to_string(),
            1 => "has 1 number".to_string(),
            n => format!("has {n} numbers"),
        };
        return Err(wanted.refuse("vector", format!("{has}, collection '{}' expects {expected}", spec.name)));
    }
    if let Some(at) = vector.iter().position(|number| !number.is_finite()) {
        let reason = format!(
            "number {at} is not a finite 32-bit float (largest magnitude 3.4e38; NaN and infinity are refused)"
        );
        return Err(wanted.refuse("vector", reason));
    }
    if spec.distance == Distance::Cosine && vector.iter().all(|number| *number == 0.0) {
        let reason = format!("is all zeros, which has no direction; collection '{}' uses cosine", spec.name);
        return Err(wanted.refuse("vector", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_wire::placement::{IndexSettings, Quantization, ReadPolicy, Storage};

    fn refused(numbers: Option<Vec<f32>>, packed: Option<Vec<u8>>) -> String {
        let spec = CollectionSpec {
            name: "docs".into(),
            dimension: 2,
            distance: Distance::Cosine,
            shards: 1,
            replication_factor: 1,
            read_policy: ReadPolicy::Linearizable,
            quantization: Quantization::Auto,
            storage: Storage::Ram,
            index: IndexSettings::default(),
            ttl_ms: None,
        };
        let wanted = Wanted { path: &"points[7].", subject: &|| "points[7] 'a42'".into(), spec: &spec };
        let packed = packed.map(|bytes| PackedVector { bytes, field: "vector_b64" });
        checked_vector(numbers, packed, &wanted).map_or_else(
            |fault| {
                assert!(fault.errors[0].field.starts_with("points[7].vector"));
                fault.detail
            },
            |vector| format!("{vector:?}"),
        )
    }

    #[test]
    fn every_mistake_is_named() {
        let two = [1.0f32, 2.0].map(f32::to_le_bytes).concat();
        assert_eq!(
            refused(Some(vec![1.0]), None),
            "points[7] 'a42': vector has 1 number, collection 'docs' expects 2"
        );
        assert!(refused(Some(vec![]), None).contains("is empty"));
        assert!(refused(Some(vec![1.0, f32::NAN]), None).contains("number 1 is not a finite"));
        assert!(refused(Some(vec![f32::INFINITY, 1.0]), None).contains("number 0 is not a finite"));
        assert!(refused(Some(vec![0.0, -0.0]), None).contains("all zeros"));
        assert!(refused(None, None).contains("is missing"));
        assert!(refused(Some(vec![1.0, 2.0]), Some(two.clone())).contains("together with vector_b64"));
        assert!(refused(None, Some(two[..7].to_vec())).contains("holds 7 bytes"));
        assert!(refused(None, Some(two[..4].to_vec())).contains("'a42': vector has 1 number"));
        assert_eq!(refused(None, Some(two)), "[1.0, 2.0]");
    }
}

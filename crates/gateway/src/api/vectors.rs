//! Values of vector fields: a list of numbers, a sparse vector, or a list of lists; and those of a point, by field.

use super::PackedVector;
use serde::de::{self, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Numbers at some of very many places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SparseInput {
    /// The places, each once.
    pub indices: Vec<u32>,
    /// The number at each of them, not zero.
    pub values: Vec<f32>,
}

/// A value of one field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FieldVector {
    /// A list of numbers.
    Dense(Vec<f32>),
    /// `{"indices": […], "values": […]}`.
    Sparse(SparseInput),
    /// A list of lists of numbers.
    Multi(Vec<Vec<f32>>),
}

/// What a point has: the unnamed field's vector as a list, or an object with a value for each field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum VectorValue {
    /// The unnamed field's.
    Unnamed(Vec<f32>),
    /// By field name.
    Named(#[serde(serialize_with = "as_map")] Vec<(String, FieldVector)>),
}

/// Packed vectors: one string, or an object with one for each field.
#[derive(Clone, Debug, PartialEq)]
pub enum PackedValue {
    /// The unnamed field's.
    Unnamed(PackedVector),
    /// By field name.
    Named(Vec<(String, PackedVector)>),
}

fn as_map<S: serde::Serializer>(fields: &[(String, FieldVector)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

impl From<Vec<f32>> for FieldVector {
    fn from(vector: Vec<f32>) -> Self {
        FieldVector::Dense(vector)
    }
}

impl From<Vec<f32>> for VectorValue {
    fn from(vector: Vec<f32>) -> Self {
        VectorValue::Unnamed(vector)
    }
}

impl VectorValue {
    /// The unnamed field's vector, if it is given alone.
    pub fn unnamed(&self) -> Option<&[f32]> {
        match self {
            VectorValue::Unnamed(vector) => Some(vector),
            VectorValue::Named(_) => None,
        }
    }
}

/// A number of a vector, or a vector of several.
enum Element {
    Number(f32),
    List(Vec<f32>),
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Element;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Element, E> {
                Ok(Element::Number(number as f32))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Element, E> {
                Ok(Element::Number(number as f32))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Element, E> {
                Ok(Element::Number(number as f32))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Element, A::Error> {
                let mut numbers = Vec::with_capacity(list.size_hint().unwrap_or(0).min(4096));
                while let Some(number) = list.next_element()? {
                    numbers.push(number);
                }
                Ok(Element::List(numbers))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What a list stands for: its first element says it.
fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<FieldVector, A::Error> {
    match list.next_element::<Element>()? {
        None => Ok(FieldVector::Dense(Vec::new())),
        Some(Element::Number(first)) => {
            let mut numbers = vec![first];
            while let Some(number) = list.next_element()? {
                numbers.push(number);
            }
            Ok(FieldVector::Dense(numbers))
        }
        Some(Element::List(first)) => {
            let mut vectors = vec![first];
            while let Some(vector) = list.next_element()? {
                vectors.push(vector);
            }
            Ok(FieldVector::Multi(vectors))
        }
    }
}

impl<'de> Deserialize<'de> for FieldVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = FieldVector;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers, a list of lists, or an object with indices and values")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<FieldVector, A::Error> {
                list(elements)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldVector, A::Error> {
                SparseInput::deserialize(de::value::MapAccessDeserializer::new(map)).map(FieldVector::Sparse)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Named entries of an object, each name once.
fn named<'de, A: MapAccess<'de>, T: Deserialize<'de>>(mut map: A) -> Result<Vec<(String, T)>, A::Error> {
    let mut fields: Vec<(String, T)> = Vec::new();
    while let Some((name, value)) = map.next_entry::<String, T>()? {
        if fields.iter().any(|(known, _)| *known == name) {
            return Err(A::Error::custom(format!("has the field {name:?} twice")));
        }
        fields.push((name, value));
    }
    Ok(fields)
}

impl<'de> Deserialize<'de> for VectorValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = VectorValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers, or an object with a value for each field")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<VectorValue, A::Error> {
                match list(elements)? {
                    FieldVector::Dense(vector) => Ok(VectorValue::Unnamed(vector)),
                    _ => Err(A::Error::custom("is a list of lists; give it under its field's name")),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<VectorValue, A::Error> {
                named(map).map(VectorValue::Named)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for PackedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = PackedValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a base64 string of little-endian 32-bit floats, or an object with one for each field",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PackedValue, E> {
                PackedVector::deserialize(de::value::StrDeserializer::new(text)).map(PackedValue::Unnamed)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PackedValue, A::Error> {
                named(map).map(PackedValue::Named)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn numbers() -> ArrayBuilder {
    ArrayBuilder::new().items(ObjectBuilder::new().schema_type(SchemaType::new(Type::Number)))
}

impl PartialSchema for FieldVector {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(numbers())
            .item(SparseInput::schema())
            .item(ArrayBuilder::new().items(numbers()))
            .description(Some(
                "A list of numbers, a sparse vector, or a list of lists: what the field takes.",
            ))
            .examples([json!([0.1, 0.2]), json!({"indices": [7, 90], "values": [0.5, 1.2]})])
            .into()
    }
}
impl ToSchema for FieldVector {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FieldVector")
    }
}

impl PartialSchema for VectorValue {
    fn schema() -> RefOr<Schema> {
        let named = ObjectBuilder::new().additional_properties(Some(FieldVector::schema()));
        OneOfBuilder::new()
            .item(numbers())
            .item(named)
            .description(Some("The unnamed field's vector, or an object with a value for each field."))
            .examples([json!([0.1, 0.2]), json!({"title": [0.1, 0.2]})])
            .into()
    }
}
impl ToSchema for VectorValue {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("VectorValue")
    }
}

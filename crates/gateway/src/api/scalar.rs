//! Values with a spelling of their own: ids, JSON text, packed vectors, consistency.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::{Error, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A point id: a string of 1 to 512 bytes of UTF-8, or an integer that means its decimal string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointId(pub String);

impl<'de> Deserialize<'de> for PointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text, so that whole numbers of any size keep every digit.
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if let Some(inner) = text.strip_prefix('"') {
            let plain = inner.strip_suffix('"').filter(|inner| !inner.contains('\\'));
            let id = match plain {
                Some(plain) => plain.to_owned(),
                None => serde_json::from_str(text)
                    .map_err(|_| D::Error::custom("is not valid text: a \\u escape is half a character"))?,
            };
            return Ok(PointId(id));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(PointId(if digits == "0" { "0" } else { text }.to_owned()));
        }
        let got = de::Unexpected::Other(match digits.as_bytes().first() {
            Some(b'0'..=b'9') => "a number that is not whole",
            Some(b'[') => "a list",
            Some(b'{') => "an object",
            Some(b'n') => "null",
            _ => "a boolean",
        });
        Err(D::Error::invalid_type(got, &"a string or an integer"))
    }
}

impl PartialSchema for PointId {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).min_length(Some(1));
        let integer = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
        OneOfBuilder::new()
            .item(text.max_length(Some(512)))
            .item(integer)
            .description(Some("A string of 1 to 512 bytes of UTF-8; an integer means its decimal string."))
            .examples([serde_json::json!("a42"), serde_json::json!(42)])
            .into()
    }
}
impl ToSchema for PointId {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PointId")
    }
}

/// JSON that belongs to the user, kept as text so that numbers keep every digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText {
    text: String,
    well_formed: bool,
}

impl JsonText {
    /// Text from a caller or a shard that nobody has parsed yet.
    pub fn unparsed(text: String) -> Self {
        Self { text, well_formed: false }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.text
    }

    /// Why the text is not one JSON value; `None` when it is.
    pub fn problem(&self) -> Option<String> {
        if self.well_formed {
            return None;
        }
        serde_json::from_str::<&RawValue>(&self.text).err().map(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self { text: Box::<str>::from(raw).into_string(), well_formed: true })
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Only text that is one JSON value may stand verbatim in an answer.
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(<S::Error as Error>::custom)?;
        raw.serialize(serializer)
    }
}

/// A vector as packed little-endian 32-bit floats: base64 text in JSON, bytes in gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedVector {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The field's name in the protocol it came by, for error texts.
    pub field: &'static str,
}

impl<'de> Deserialize<'de> for PackedVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Packed;
        impl Visitor<'_> for Packed {
            type Value = PackedVector;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a base64 string of little-endian 32-bit floats")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PackedVector, E> {
                let bytes = STANDARD
                    .decode(text)
                    .map_err(|error| E::custom(format!("is not standard base64 with padding: {error}")))?;
                Ok(PackedVector { bytes, field: "vector_b64" })
            }
        }
        deserializer.deserialize_str(Packed)
    }
}

/// How fresh a read must be: a level by name, with the bound or token that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consistency {
    /// `linearizable`, `eventual`, `bounded` or `session`.
    pub level: String,
    /// Of `bounded`: how old the answer may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_ms: Option<u64>,
    /// Of `session`: a token from an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Consistency {
    /// A level without parameters.
    pub fn named(level: impl Into<String>) -> Self {
        Self { level: level.into(), max_staleness_ms: None, token: None }
    }
}

impl<'de> Deserialize<'de> for Consistency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            level: String,
            max_staleness_ms: Option<u64>,
            token: Option<String>,
        }
        struct NameOrObject;
        impl<'de> Visitor<'de> for NameOrObject {
            type Value = Consistency;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a consistency level by name, or an object with `level`")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Consistency, E> {
                Ok(Consistency::named(name))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Consistency, A::Error> {
                let Full { level, max_staleness_ms, token } =
                    Full::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Consistency { level, max_staleness_ms, token })
            }
        }
        deserializer.deserialize_any(NameOrObject)
    }
}

impl PartialSchema for Consistency {
    fn schema() -> RefOr<Schema> {
        let string = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let level = || string().enum_values(Some(["linearizable", "eventual", "bounded", "session"]));
        let bound = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(1));
        let object = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .property("level", level())
            .property("max_staleness_ms", bound.description(Some("Belongs to bounded.")))
            .property("token", string().description(Some("Belongs to session: meta.session of an answer.")))
            .required("level");
        let name = string().enum_values(Some(["linearizable", "eventual"]));
        OneOfBuilder::new()
            .item(name)
            .item(object)
            .description(Some("A level by name, or an object with the bound or token that belongs to it."))
            .examples([
                serde_json::json!("linearizable"),
                serde_json::json!({"level": "bounded", "max_staleness_ms": 500}),
            ])
            .into()
    }
}
impl ToSchema for Consistency {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Consistency")
    }
}

/// Schema of a filter; the value itself travels as [`JsonText`].
pub struct Filter;

impl PartialSchema for Filter {
    fn schema() -> RefOr<Schema> {
        let operators = "A JSON object: {\"field\": value} for equality (a list field contains it), or \
            {\"field\": {operator: operand}} with $eq $ne $gt $gte $lt $lte $in $nin $exists $prefix $match \
            $geo_radius; $and, $or and $not combine; nested fields by a.b. Several members mean and.";
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .description(Some(operators))
            .examples([serde_json::json!({"section": "libs", "size": {"$gte": 100}})])
            .into()
    }
}
impl ToSchema for Filter {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Filter")
    }
}

/// A reference to the schema of a filter, for fields that carry one.
pub(crate) fn filter_schema() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name("Filter"))
}

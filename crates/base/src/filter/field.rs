//! Which payload fields are indexed, and as what.

use serde::{Deserialize, Serialize};

/// What a payload index takes a field's values for. A value of another type stays unindexed and is looked at
/// by itself, so that an indexed filter answers exactly what an unindexed one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Strings, compared bytewise.
    Keyword,
    /// Numbers without fraction.
    Integer,
    /// Numbers.
    Float,
    /// `true` and `false`.
    Bool,
    /// RFC 3339 datetimes, compared as instants.
    Datetime,
    /// Places, `{"lat", "lon"}`.
    Geo,
    /// Strings by their words, for ranked text search and `$match`.
    Text(TextAnalysis),
}

/// How a text index makes words of a string. Words are runs of letters and digits in lower case, as `$match` sees
/// them; a run of a script without spaces between words is cut further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TextAnalysis {
    /// Whose rules words are cut down to their stems by.
    pub language: Language,
    /// Whether they are. Never without a language.
    pub stemming: bool,
}

impl TextAnalysis {
    /// Words as they are.
    pub const PLAIN: TextAnalysis = TextAnalysis { language: Language::None, stemming: false };

    /// What is asked for: no language means none, and a language means its stems unless they are refused. `None` if
    /// stems of no language are asked for.
    pub fn new(language: Option<Language>, stemming: Option<bool>) -> Option<TextAnalysis> {
        let language = language.unwrap_or_default();
        let stemming = stemming.unwrap_or(language != Language::None);
        (language != Language::None || !stemming).then_some(TextAnalysis { language, stemming })
    }
}

macro_rules! languages {
    ($($language:ident $name:literal),+ $(,)?) => {
        /// A language with known stems.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Language {
            /// None in particular.
            #[default]
            None,
            $(#[doc = $name] $language),+
        }

        impl Language {
            /// All of them.
            pub const ALL: &[Language] = &[Language::None, $(Language::$language),+];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    Language::None => "none",
                    $(Language::$language => $name),+
                }
            }
        }
    };
}

languages! {
    Arabic "arabic", Danish "danish", Dutch "dutch", English "english", Finnish "finnish", French "french",
    German "german", Greek "greek", Hungarian "hungarian", Italian "italian", Norwegian "norwegian",
    Portuguese "portuguese", Romanian "romanian", Russian "russian", Spanish "spanish", Swedish "swedish",
    Tamil "tamil", Turkish "turkish",
}

impl Language {
    /// The language of a name on the wire.
    pub fn parse(text: &str) -> Option<Language> {
        Language::ALL.iter().copied().find(|language| language.as_str() == text)
    }
}

impl FieldType {
    /// All of them; the text type as it is by default.
    pub const ALL: [FieldType; 7] = [
        FieldType::Keyword,
        FieldType::Integer,
        FieldType::Float,
        FieldType::Bool,
        FieldType::Datetime,
        FieldType::Geo,
        FieldType::Text(TextAnalysis::PLAIN),
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Keyword => "keyword",
            FieldType::Integer => "integer",
            FieldType::Float => "float",
            FieldType::Bool => "bool",
            FieldType::Datetime => "datetime",
            FieldType::Geo => "geo",
            FieldType::Text(_) => "text",
        }
    }

    /// How words are made, of a text index.
    pub fn analysis(self) -> Option<TextAnalysis> {
        match self {
            FieldType::Text(analysis) => Some(analysis),
            _ => None,
        }
    }

    /// The type of a name on the wire.
    pub fn parse(text: &str) -> Option<FieldType> {
        FieldType::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One payload index of a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldIndex {
    /// Dotted path of the field, as in a filter.
    pub field: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: FieldType,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_there_were_texts_is_read_and_texts_come_back() {
        let old: FieldIndex = serde_json::from_str(r#"{"field":"a","type":"keyword"}"#).unwrap();
        assert_eq!(old.kind, FieldType::Keyword);
        for language in Language::ALL {
            assert_eq!(Language::parse(language.as_str()), Some(*language));
            let kind = FieldType::Text(TextAnalysis::new(Some(*language), None).unwrap());
            let index = FieldIndex { field: "a".into(), kind };
            let text = serde_json::to_string(&index).unwrap();
            assert_eq!(serde_json::from_str::<FieldIndex>(&text).unwrap(), index, "{text}");
        }
        assert_eq!(TextAnalysis::new(None, Some(true)), None);
        assert_eq!(TextAnalysis::new(None, None), Some(TextAnalysis::PLAIN));
    }
}

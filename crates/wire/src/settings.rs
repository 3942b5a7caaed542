//! What a collection's index is made with: chosen at its creation, the same for all its life.

use serde::{Deserialize, Serialize};

/// How vectors are coded for the search. Results are rescored with the vectors as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantization {
    /// The server chooses, by dimension and distance.
    #[default]
    Auto,
    /// No codes: the vectors themselves are compared.
    None,
    /// Eight bits per number.
    #[serde(rename = "8bit")]
    EightBit,
    /// Four bits per number.
    #[serde(rename = "4bit")]
    FourBit,
}

impl Quantization {
    /// Every choice.
    pub const ALL: [Quantization; 4] =
        [Quantization::Auto, Quantization::None, Quantization::EightBit, Quantization::FourBit];

    /// The public spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Quantization::Auto => "auto",
            Quantization::None => "none",
            Quantization::EightBit => "8bit",
            Quantization::FourBit => "4bit",
        }
    }

    /// The choice of a public spelling.
    pub fn parse(text: &str) -> Option<Quantization> {
        Quantization::ALL.into_iter().find(|choice| choice.as_str() == text)
    }
}

/// Where the vectors as they were written are kept. Codes and links are in memory in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// In memory.
    #[default]
    Ram,
    /// In the segment files, read through a mapping.
    Mmap,
}

impl Storage {
    /// Every choice.
    pub const ALL: [Storage; 2] = [Storage::Ram, Storage::Mmap];

    /// The public spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Storage::Ram => "ram",
            Storage::Mmap => "mmap",
        }
    }

    /// The choice of a public spelling.
    pub fn parse(text: &str) -> Option<Storage> {
        Storage::ALL.into_iter().find(|choice| choice.as_str() == text)
    }
}

/// The shape of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// Most links per point, 8 to 128. More find more per step and take more memory.
    pub degree: u32,
    /// Candidates kept while a point is linked, 32 to 1,024 and at least `degree`. More build a better graph,
    /// slower.
    pub ef_construction: u32,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self { degree: 32, ef_construction: 200 }
    }
}

impl IndexSettings {
    /// What collections have that were written down before the settings were.
    pub(crate) fn unwritten() -> Self {
        Self { degree: 32, ef_construction: 128 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_the_same_in_calls_and_in_files() {
        for choice in Quantization::ALL {
            assert_eq!(Quantization::parse(choice.as_str()), Some(choice));
            assert_eq!(serde_json::to_value(choice).unwrap(), choice.as_str());
        }
        for choice in Storage::ALL {
            assert_eq!(Storage::parse(choice.as_str()), Some(choice));
            assert_eq!(serde_json::to_value(choice).unwrap(), choice.as_str());
        }
        assert_eq!((Quantization::parse("8-bit"), Storage::parse("disk")), (None, None));
    }
}

//! Parquet files written here, read back, cut and bent.

use super::*;
use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use std::path::PathBuf;
use std::sync::Arc;

const SCHEMA: &str = "message docs {
    required binary id (UTF8);
    optional group vector (LIST) { repeated group list { required float element; } }
    optional int64 size;
}";

/// Rows p0, p1, … of three numbers in row groups of `per_group`; row 1 has no size.
fn write(path: &Path, groups: usize, per_group: usize, codec: Compression) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
    #[allow(clippy::disallowed_methods, reason = "a test's file")]
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    for group in 0..groups {
        let rows = group * per_group..(group + 1) * per_group;
        let mut group = writer.next_row_group().unwrap();
        let ids: Vec<ByteArray> = rows.clone().map(|row| format!("p{row}").as_str().into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let numbers: Vec<f32> = rows.clone().flat_map(|row| [row as f32, 0.5, 0.1]).collect();
        let levels: Vec<i16> = rows.clone().flat_map(|_| [0, 1, 1]).collect();
        let mut column = group.next_column().unwrap().unwrap();
        let defined = vec![2; numbers.len()];
        column.typed::<FloatType>().write_batch(&numbers, Some(&defined), Some(&levels)).unwrap();
        column.close().unwrap();
        let sizes: Vec<i64> = rows.clone().filter(|row| *row != 1).map(|row| row as i64 * 10).collect();
        let defined: Vec<i16> = rows.map(|row| i16::from(row != 1)).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&sizes, Some(&defined), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn fields() -> Fields {
    Fields::new(None, "vector".into())
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    (folder, path)
}

#[test]
fn rows_of_all_groups_come_in_order() {
    for codec in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())] {
        let (_folder, path) = folder();
        write(&path, 3, 4, codec);
        let mut table = Table::open(&path, fields()).unwrap();
        let rows: Vec<Row> = std::iter::from_fn(|| table.next_row()).map(Result::unwrap).collect();
        assert_eq!(rows.len(), 12);
        assert_eq!(rows[7].point.id, "p7");
        assert_eq!(rows[7].point.vector, [7.0, 0.5, 0.1]);
        assert_eq!(rows[7].point.payload.as_ref().unwrap().as_str(), r#"{"size":70}"#);
        assert_eq!(rows[1].point.payload, None);
    }
}

#[test]
fn skipping_passes_over_groups_and_rows() {
    let (_folder, path) = folder();
    write(&path, 3, 4, Compression::UNCOMPRESSED);
    for number in 0..11 {
        let mut table = Table::open(&path, fields()).unwrap();
        table.skip_through(number).unwrap();
        let row = table.next_row().unwrap().unwrap();
        assert_eq!((row.number, row.point.id), (number + 1, format!("p{}", number + 1)));
    }
}

#[test]
fn missing_columns_are_named() {
    let (_folder, path) = folder();
    write(&path, 1, 2, Compression::UNCOMPRESSED);
    let open = |id: Option<&str>, vector: &str| {
        Table::open(&path, Fields::new(id.map(str::to_string), vector.into())).err().unwrap().to_string()
    };
    assert!(open(None, "embedding").contains("no column 'embedding'"));
    assert!(open(Some("key"), "vector").contains("no column 'key'"));
    let mut wrong = Table::open(&path, Fields::new(None, "size".into())).unwrap();
    let problem = wrong.next_row().unwrap().unwrap_err().to_string();
    assert_eq!(problem, "row 0 'p0': has a vector that is not a list of floats");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test's file")]
fn truncated_and_bent_files_never_panic() {
    let (_folder, path) = folder();
    write(&path, 2, 4, Compression::SNAPPY);
    let whole = std::fs::read(&path).unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for cut in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(Table::open(&path, fields()).is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 0x55;
        std::fs::write(&path, &bent).unwrap();
        if let Ok(mut table) = Table::open(&path, fields()) {
            for _ in 0..100 {
                if table.next_row().is_none() {
                    break;
                }
            }
        }
    }
    std::panic::set_hook(hook);
}

//! What is found on real embeddings, after building and after churn.

use crate::data;
use crate::support::*;
use vectron_index::*;

const ROWS: usize = 20_000;

#[test]
fn real_embeddings_are_found_before_and_after_churn() {
    main_kinds(|| {
        let data = data::load(ROWS + ROWS / 2);
        let total = data.len();
        let kept = total * 2 / 3;
        let mut index = Subject::new(Params::new(data.dimension, Metric::Cosine));
        for row in 0..kept {
            assert!(index.put(row as Row, 1, data.row(row)));
        }
        drain(&mut index);
        assert_eq!(index.reachable(), Reachability { graph_rows: kept, reachable: kept });
        let queries: Vec<Vec<f32>> =
            (0..data.query_count().min(500)).map(|at| data.query(at).to_vec()).collect();
        let built = recall(&index, &queries, 10, 128);
        let wide = recall(&index, &queries, 10, 256);
        eprintln!("{kept} rows: recall@10 {built:.4} at ef 128, {wide:.4} at ef 256");
        assert!(built >= 0.97 && wide >= 0.99);

        let mut next = kept;
        for cycle in 0..2u32 {
            for row in (0..kept as Row).filter(|row| row % 5 == cycle) {
                index.remove(row);
            }
            sweep_if_due(&mut index);
            let free = index.take_released();
            assert_eq!(free.len(), kept.div_ceil(5));
            for row in free {
                assert!(index.put(row, u64::from(cycle) + 2, data.row(next % total)));
                next += 1;
            }
            drain(&mut index);
            assert_eq!(index.reachable(), Reachability { graph_rows: kept, reachable: kept });
            let churned = recall(&index, &queries, 10, 128);
            eprintln!("after cycle {cycle}: recall@10 {churned:.4}");
            assert!(churned + 0.005 >= built, "{built} became {churned}");
        }
    });
}

use std::time::{Duration, Instant};
use vectron_sim::cluster::{Scenario, run, Mischief};
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let (first, seeds, secs): (u64,u64,u64) = (a[0].parse().unwrap(), a[1].parse().unwrap(), a[2].parse().unwrap());
    for seed in first..first+seeds {
        let mut s = Scenario::everything(Duration::from_secs(secs));
        if a.get(3).is_some_and(|w| w == "calm") { s.mischief = Vec::new(); }
        let _ = Mischief::Kill;
        let t = cpu(); let _ = Instant::now();
        let o = run(&s, seed);
        let el = cpu()-t;
        println!("seed {seed}: {} ops {} acked {} refused, virt {:.1}s in {:.2}s = {:.0}x, compared {}, trace {:x}", o.operations, o.acknowledged, o.refused, o.virtual_time.as_secs_f64(), el, o.virtual_time.as_secs_f64()/el, o.compared, o.trace);
        println!("   {:?}", o.mischief);
        for v in &o.violations { println!("   VIOLATION {}: {}", v.property, &v.what[..v.what.len().min(5000)]); }
    }
}

fn cpu() -> f64 { std::fs::read_to_string("/proc/self/schedstat").unwrap().split(' ').next().unwrap().parse::<f64>().unwrap()/1e9 }

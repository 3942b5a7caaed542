//! Faults of links and of the disk.

use super::links::Links;
use super::nemesis::{Kind, Nemesis};
use std::io;
use vectron_base::random::Random;

/// Of what a node is sent over lossy links.
const LOST_PERCENT: u64 = 30;

impl Nemesis<'_> {
    /// Lets packets be lost for some seconds; whether there was anything to do it to.
    pub(super) fn disturb_links(&mut self, kind: Kind) -> bool {
        let victim = match kind {
            Kind::IsolateLeader | Kind::Cut | Kind::OneWay => self.leader().map(|(victim, _)| victim),
            Kind::IsolatePlacementLeader => self.placement_leader(),
            _ => Some(self.any_node()),
        };
        let Some(victim) = victim else { return false };
        let mut others: Vec<usize> = (0..self.processes.nodes.len()).filter(|at| *at != victim).collect();
        for at in (1..others.len()).rev() {
            others.swap(at, self.random.below(at as u64 + 1) as usize);
        }
        let (near, far) = others.split_at(others.len() / 2);
        let from_to = |from: &[usize], to: &[usize]| -> Vec<(usize, usize)> {
            from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
        };
        let mut cuts = match kind {
            Kind::Cut => from_to(&[victim], &others[..1]),
            // To one or to all, and either what it says or what it should hear.
            Kind::OneWay => from_to(&[victim], &others[..[1, others.len()][self.random.below(2) as usize]]),
            Kind::Halves => from_to(near, &[far, &[victim]].concat()),
            Kind::Bridge => from_to(near, far),
            Kind::Lossy => Vec::new(),
            _ => from_to(&[victim], &others),
        };
        let back: Vec<_> = cuts.iter().map(|(from, to)| (*to, *from)).collect();
        match kind {
            Kind::OneWay if self.random.below(2) == 0 => cuts = back,
            Kind::OneWay => {}
            _ => cuts.extend(back),
        }
        let length = self.drawn(2_000, 12_000);
        let shown: Vec<_> = cuts.iter().map(|(from, to)| format!("{}>{}", from + 1, to + 1)).collect();
        self.say(&format!("{}: node {}, {shown:?} for {} ms", kind.name(), victim + 1, length.as_millis()));
        let done = self.with_links(|links| {
            if kind == Kind::Lossy {
                links.lose(victim, LOST_PERCENT)?;
            }
            cuts.iter().try_for_each(|(from, to)| links.cut(*from, *to))
        });
        self.pause(length);
        self.with_links(Links::heal) && done
    }

    /// Does it; whether it could be done. What cannot be done fails the run, which would else look harder than it was.
    fn with_links(&mut self, act: impl FnOnce(&mut Links) -> io::Result<()>) -> bool {
        let result = self.processes.links.as_mut().map_or(Ok(()), act);
        self.must("links", result)
    }

    fn must(&mut self, what: &str, result: io::Result<()>) -> bool {
        if let Err(error) = &result {
            self.surprises.push(format!("{what}: {error}"));
        }
        result.is_ok()
    }

    /// Leaves a node almost no disk space for some seconds, and kills it meanwhile now and then.
    pub(super) fn fill_disk(&mut self) -> bool {
        let Some((victim, filled)) = self.processes.disk.as_ref().map(|(of, disk)| (*of, disk.fill())) else {
            return false;
        };
        let length = self.drawn(3_000, 12_000);
        let killed = self.random.below(3) == 0;
        let then = if killed { ", then kill -9" } else { "" };
        let ms = length.as_millis();
        self.say(&format!("{}: node {} for {ms} ms{then}", Kind::FullDisk.name(), victim + 1));
        let done = self.must("full disk", filled);
        self.pause(length);
        if killed {
            self.processes.kill(victim);
        }
        let room = self.processes.disk.as_ref().map_or(Ok(()), |(_, disk)| disk.make_room());
        let room = self.must("full disk", room);
        self.launch(victim);
        done && room
    }
}

//! The placement driver's own members: what the catalog says they shall be, its leader makes of its group, one change
//! at a time. And a member whose log the others have dropped, which takes the whole catalog from the leader.

use super::Service;
use super::faults::unexpected;
use crate::PlacementEvent;
use crate::catalog::{CatalogFileError, Command, Reply, SharedCatalog};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::pool::{Lane, Pool, compute, within};
use vectron_base::{Code, Fault};
use vectron_consensus::{GroupConfig, GroupError, Handle, MemberChange, Members, Start};
use vectron_wire::cluster::DriverMember;
use vectron_wire::placement::{self as wire, CatalogSnapshot, Placement, PlannedMove};

/// How long the log is kept for a member that fetches the catalog.
const HOLD: Duration = Duration::from_secs(60);
/// How long one attempt to fetch the catalog may take, and the pause before another.
const FETCH: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(500);
/// How long a change of the group's members may take.
const CHANGE: Duration = Duration::from_secs(10);
/// Entries that a new member may lack when it gets its vote.
const CAUGHT_UP_ENTRIES: u64 = 64;

/// Why the catalog's group could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The catalog's file.
    #[error(transparent)]
    File(#[from] CatalogFileError),
}

fn from_wire(members: &wire::Members) -> Members {
    Members {
        voters: members.voters.clone(),
        learners: members.learners.clone(),
        voters_outgoing: members.outgoing.clone(),
        learners_next: Vec::new(),
        auto_leave: !members.outgoing.is_empty(),
    }
}

fn config(catalog: &SharedCatalog, member: ReplicaId, voters: Vec<ReplicaId>) -> GroupConfig {
    let start = catalog.origin().map(|(index, origin)| Start {
        index,
        term: origin.term,
        members: from_wire(&origin.members),
    });
    GroupConfig { group: GroupId::CATALOG, replica: member, voters, start }
}

/// Opens the catalog's group as one of its `first` members, or as one that was added later: that one takes the catalog
/// from the leader first, and waits until it is a member.
///
/// The catalog's file may be ahead of the log when the process stopped amid taking the catalog from another member:
/// then the log is begun anew where the file is.
pub async fn open(
    consensus: &Handle,
    catalog: &SharedCatalog,
    pool: &Arc<dyn Pool>,
    member: ReplicaId,
    first: &[ReplicaId],
    leader: Option<&Arc<dyn Placement>>,
) -> Result<(), OpenError> {
    loop {
        let config = config(catalog, member, first.to_vec());
        let joins = !first.contains(&member) && config.start.is_none();
        let opened = consensus.open_group(config.clone(), Box::new(catalog.machine())).await;
        match (opened, leader) {
            (Err(GroupError::NeedsInstall), _) => {
                return Ok(consensus.install(config, Box::new(catalog.machine())).await?);
            }
            // It has no log yet, and cannot begin one by itself.
            (Err(GroupError::Invalid(_)), Some(leader)) if joins => {
                let snapshot = within(pool, FETCH, leader.catalog_snapshot()).await;
                match snapshot {
                    Some(Ok(snapshot)) if named(&snapshot, member) => {
                        catalog.restore(&snapshot)?;
                    }
                    // Not added yet, or nobody leads now.
                    _ => pool.sleep(RETRY).await,
                }
            }
            (opened, _) => return Ok(opened?),
        }
    }
}

fn named(snapshot: &CatalogSnapshot, member: ReplicaId) -> bool {
    let members = &snapshot.members;
    members.voters.contains(&member) || members.learners.contains(&member)
}

impl Service {
    /// The catalog for another member, with its place in the log.
    pub(super) async fn give_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        let again =
            || Fault::new(Code::Unavailable, "the catalog's members are changing; retry").retry_after(200);
        let catalog = self.parts.catalog.clone();
        let taken = compute(&self.parts.pool, Lane::Background, move || catalog.snapshot()).await;
        let (index, bytes) = taken.ok_or_else(again)?.map_err(|_| unexpected())?;
        let point = self.parts.consensus.point(GroupId::CATALOG, index).await.ok_or_else(again)?;
        if point.members.joint() {
            return Err(again());
        }
        self.parts.consensus.hold(GroupId::CATALOG, index, HOLD);
        let members = wire::Members {
            voters: point.members.voters,
            learners: point.members.learners,
            outgoing: Vec::new(),
        };
        Ok(CatalogSnapshot { index, term: point.term, members, bytes })
    }

    /// Takes the catalog from the leader if this member's log cannot be brought up to date from the leader's.
    pub(super) async fn catch_up(&self) {
        let lagging = self.parts.consensus.status(GroupId::CATALOG).is_some_and(|s| s.lagging.is_some());
        let Some(leader) = self.parts.membership.leader.as_ref().filter(|_| lagging) else { return };
        let failed = match within(&self.parts.pool, FETCH, leader.catalog_snapshot()).await {
            None => "no answer".to_string(),
            Some(Err(fault)) => fault.to_string(),
            Some(Ok(snapshot)) => match self.take(snapshot).await {
                Ok(Some(index)) => return self.note(&PlacementEvent::CatalogFetched(index)),
                Ok(None) => return,
                Err(error) => error.to_string(),
            },
        };
        self.note(&PlacementEvent::CatalogFetchFailed(failed));
    }

    /// Puts the catalog in place, on disk first, and then has the log begin there.
    async fn take(&self, snapshot: CatalogSnapshot) -> Result<Option<u64>, OpenError> {
        let (catalog, index) = (self.parts.catalog.clone(), snapshot.index);
        let restored = compute(&self.parts.pool, Lane::Background, move || catalog.restore(&snapshot)).await;
        if restored.transpose()? != Some(true) {
            return Ok(None);
        }
        let catalog = &self.parts.catalog;
        let config = config(catalog, self.parts.membership.member, Vec::new());
        match self.parts.consensus.install(config, Box::new(catalog.machine())).await {
            Ok(()) | Err(GroupError::NotNeeded) => Ok(Some(index)),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the group's members what the catalog says, one change at a time.
    pub(super) async fn tend_members(&self) {
        let wanted = self.parts.catalog.read(|catalog| catalog.members().clone());
        if wanted.is_empty() {
            return self.first_members().await;
        }
        let Some(status) = self.parts.consensus.status(GroupId::CATALOG) else { return };
        if status.members.joint() {
            return;
        }
        let own = self.parts.membership.member;
        let caught_up = |replica: &ReplicaId| {
            let matched = status.matched.get(replica).copied().unwrap_or(0);
            matched > 0 && matched + CAUGHT_UP_ENTRIES >= status.committed
        };
        let absent = |replica: &&ReplicaId| !wanted.contains_key(replica);
        let Members { voters, learners, .. } = &status.members;
        let extra = voters.iter().chain(learners).find(|replica| absent(replica) && **replica != own);
        let joined = wanted.keys().find(|replica| !status.members.contains(**replica));
        let ready = learners.iter().find(|replica| wanted.contains_key(replica) && caught_up(replica));
        let change = if let Some(replica) = ready {
            MemberChange::AddVoter(*replica)
        } else if let Some(replica) = joined {
            MemberChange::AddLearner(*replica)
        } else if let Some(replica) = extra {
            MemberChange::Remove(*replica)
        } else if voters.iter().any(|replica| *replica == own && absent(&replica)) {
            // It must hand over before it can go.
            let heir = voters.iter().find(|replica| **replica != own && caught_up(replica));
            if let Some(heir) = heir {
                let handed = within(
                    &self.parts.pool,
                    CHANGE,
                    self.parts.consensus.transfer_leader(GroupId::CATALOG, *heir),
                );
                if let Some(Err(error)) = handed.await {
                    self.note(&PlacementEvent::MembersNotChanged(error.to_string()));
                }
            }
            return;
        } else {
            return;
        };
        let changing = self.parts.consensus.change_members(GroupId::CATALOG, vec![change]);
        if let Some(Err(error)) = within(&self.parts.pool, CHANGE, changing).await {
            self.note(&PlacementEvent::MembersNotChanged(error.to_string()));
        }
    }

    /// Writes the members that the processes were started with into the catalog, the first time anybody leads.
    async fn first_members(&self) {
        for (replica, address) in self.parts.membership.first.clone() {
            // What fails is tried again in the next round.
            let _ = self.propose(&Command::AddMember { replica, address }).await;
        }
    }

    pub(super) async fn add_member(
        &self,
        replica: ReplicaId,
        address: String,
    ) -> Result<Vec<PlannedMove>, Fault> {
        self.settle(Command::AddMember { replica, address }).await
    }

    pub(super) async fn remove_member(&self, replica: ReplicaId) -> Result<Vec<PlannedMove>, Fault> {
        if let Some(status) = self.parts.consensus.status(GroupId::CATALOG) {
            let stay: Vec<&ReplicaId> = status.members.voters.iter().filter(|v| **v != replica).collect();
            let current = |voter: &&&ReplicaId| {
                ***voter == self.parts.membership.member
                    || status.matched.get(**voter).is_some_and(|m| m + CAUGHT_UP_ENTRIES >= status.committed)
            };
            if status.members.votes(replica) && stay.iter().filter(current).count() * 2 <= stay.len() {
                let detail = "the members that stay have not caught up, or there would be none";
                return Err(Fault::new(Code::UnsafeOperation, detail));
            }
        }
        match self.propose(&Command::RemoveMember { replica }).await? {
            Reply::Done => Ok(Vec::new()),
            Reply::NotFound => Err(Fault::new(
                Code::NotFound,
                format!("there is no member {replica} of the placement driver"),
            )),
            Reply::Refused { why } => Err(Fault::new(Code::UnsafeOperation, why)),
            _ => Err(unexpected()),
        }
    }

    /// Members in the catalog or in the group.
    pub(super) fn show_members(&self) -> Vec<DriverMember> {
        let mut addresses: BTreeMap<ReplicaId, String> =
            self.parts.catalog.read(|catalog| catalog.members().clone());
        let Some(status) = self.parts.consensus.status(GroupId::CATALOG) else { return Vec::new() };
        for replica in status.members.all() {
            addresses.entry(replica).or_default();
        }
        let show = |(replica, address)| DriverMember {
            replica,
            address,
            votes: status.members.votes(replica),
            leads: status.leader == Some(replica),
        };
        addresses.into_iter().map(show).collect()
    }
}

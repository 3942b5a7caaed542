//! Opening a replica whose data is on the disk: the store, then the group.

use super::{Entry, Host, Slot};
use crate::hosted::{Hosted, ShardMachine};
use crate::meta::{Origin, ShardMeta};
use crate::{WorkerEvent, indexes, shape, tend};
use std::sync::Arc;
use vectron_base::ids::ShardId;
use vectron_base::pool::{Lane, compute};
use vectron_consensus::{GroupConfig, GroupError, Members, Start};
use vectron_store as store;

/// Why a shard did not open.
pub(crate) struct OpenFailure {
    pub why: String,
    /// Trying again cannot help.
    pub lasting: bool,
    /// The replica was removed from here for good.
    pub removed: bool,
    /// Nothing is wrong; it has to wait for others.
    pub waits: bool,
    /// The data is a copy that was not finished.
    pub unfinished: bool,
}

impl OpenFailure {
    pub fn lasting(why: impl ToString) -> Self {
        Self { lasting: true, ..Self::passing(why) }
    }

    pub fn passing(why: impl ToString) -> Self {
        Self { why: why.to_string(), lasting: false, removed: false, waits: false, unfinished: false }
    }

    pub fn waits(why: impl ToString) -> Self {
        Self { waits: true, ..Self::passing(why) }
    }
}

fn of_store(error: store::OpenError) -> OpenFailure {
    match error {
        store::OpenError::Disk(_) => OpenFailure::passing(error),
        store::OpenError::Unfinished(_) => OpenFailure { unfinished: true, ..OpenFailure::waits(error) },
        _ => OpenFailure::lasting(error),
    }
}

pub(super) fn of_group(error: GroupError) -> OpenFailure {
    match error {
        GroupError::DiskFull | GroupError::JournalFailed | GroupError::Closed => OpenFailure::passing(error),
        GroupError::Removed => OpenFailure { removed: true, ..OpenFailure::passing(error) },
        _ => OpenFailure::lasting(error),
    }
}

impl Origin {
    fn start(&self) -> Start {
        let members =
            Members { voters: self.voters.clone(), learners: self.learners.clone(), ..Members::default() };
        Start { index: self.index, term: self.term, members }
    }
}

impl Host {
    /// Opens the store and joins the shard's group.
    pub(super) async fn open_shard(&self, meta: ShardMeta) -> Result<Arc<Hosted>, OpenFailure> {
        let origin = meta.origin.clone();
        let hosted = self.load_shard(ShardMeta { origin: None, parent: None, ..meta }).await?;
        self.join_group(&hosted, origin.as_ref()).await?;
        if origin.is_some() {
            self.note_joined(&hosted);
        }
        Ok(hosted)
    }

    /// Writes down that the log begins where the data ends. If that fails, the next start finds it out again.
    pub(super) fn note_joined(&self, hosted: &Hosted) {
        let meta = ShardMeta { held: Some(hosted.held()), ..hosted.meta.clone() };
        let _ = meta.save(&**self.disk());
    }

    /// Opens the store, if there is room for it.
    pub(super) async fn load_shard(&self, meta: ShardMeta) -> Result<Arc<Hosted>, OpenFailure> {
        let disk = self.disk().clone();
        let _place = self.settling.acquire().await.map_err(OpenFailure::passing)?;
        let _room = self.take_room(&*disk, &meta)?;
        let config = shape::shard_config(&meta.spec, &self.parts.store_knobs);
        let (directory, field_indexes) = (meta.data_directory(), meta.field_indexes.clone());
        let opening = move || {
            let shard = store::Shard::open(disk, &directory, config).map_err(of_store)?;
            indexes::set(&shard, &field_indexes);
            Ok(shard)
        };
        let opened = compute(&self.parts.pool, Lane::Read, opening).await;
        let shard = opened.ok_or_else(|| OpenFailure::passing("the worker is stopping"))??;
        Ok(Arc::new(Hosted::new(meta, Arc::new(shard))))
    }

    /// Resumes the group's log or begins it; where the data is newer than all of the log, replaces it.
    pub(super) async fn join_group(
        &self,
        hosted: &Arc<Hosted>,
        origin: Option<&Origin>,
    ) -> Result<(), OpenFailure> {
        let (config, machine) = self.membership(hosted, origin);
        match self.parts.consensus.open_group(config, machine).await {
            Err(GroupError::NeedsInstall) => self.install(hosted, origin).await,
            // An attempt whose end was not seen: nobody here serves what it left running, and it might lead.
            Err(error @ GroupError::AlreadyOpen)
                if !matches!(self.slot(hosted.id()), Some(Slot::Serving(_))) =>
            {
                // A driver that is gone hosts nothing either.
                let _ = self.parts.consensus.close_group(hosted.group()).await;
                Err(OpenFailure::passing(error))
            }
            other => other.map_err(of_group),
        }
    }

    /// Replaces the log by a point that the data covers.
    pub(super) async fn install(
        &self,
        hosted: &Arc<Hosted>,
        origin: Option<&Origin>,
    ) -> Result<(), OpenFailure> {
        let (config, machine) = self.membership(hosted, origin);
        self.parts.consensus.install(config, machine).await.map_err(of_group)
    }

    fn membership(&self, hosted: &Arc<Hosted>, origin: Option<&Origin>) -> (GroupConfig, Box<ShardMachine>) {
        let config = GroupConfig {
            group: hosted.group(),
            replica: hosted.meta.replica,
            voters: hosted.meta.shard.voters().map(|r| r.replica).collect(),
            start: origin.map(Origin::start),
        };
        (config, Box::new(ShardMachine(hosted.clone())))
    }

    /// Serves a shard that has joined its group.
    pub(super) fn serve_from_now(self: &Arc<Self>, hosted: Arc<Hosted>) {
        let shard = hosted.id();
        for what in hosted.shard.damage() {
            self.parts.metrics.events.note(&WorkerEvent::DamageRepaired(shard, what));
        }
        self.parts.metrics.events.note(&WorkerEvent::ShardOpened(shard));
        self.put(shard, Some(Slot::Serving(hosted.clone())));
        let host = self.clone();
        self.parts.pool.spawn("shard tending", Box::pin(async move { tend::run(&host, &hosted).await }));
    }

    /// Forgets what is here, so that it is opened again from the disk.
    pub(super) fn reopen(self: &Arc<Self>, shard: ShardId) {
        {
            let mut table = self.table.write();
            let entry: &mut Entry = table.entry(shard).or_default();
            (entry.slot, entry.unread) = (None, true);
        }
        self.settle_soon(shard);
    }
}

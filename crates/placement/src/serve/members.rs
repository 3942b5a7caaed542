use super::Service;
use crate::catalog::Command;
use vectron_base::Fault;
use vectron_base::ids::ReplicaId;
use vectron_wire::cluster::DriverMember;
use vectron_wire::placement::{CatalogSnapshot, PlannedMove};
impl Service {
    pub(super) async fn give_snapshot(&self) -> Result<CatalogSnapshot, Fault> { Err(Fault::internal("")) }
    pub(super) async fn catch_up(&self) {}
    pub(super) async fn tend_members(&self) {}
    pub(super) async fn add_member(&self, replica: ReplicaId, address: String) -> Result<Vec<PlannedMove>, Fault> {
        self.settle(Command::AddMember { replica, address }).await
    }
    pub(super) async fn remove_member(&self, replica: ReplicaId) -> Result<Vec<PlannedMove>, Fault> {
        self.settle(Command::RemoveMember { replica }).await
    }
    pub(super) fn show_members(&self) -> Vec<DriverMember> { Vec::new() }
}

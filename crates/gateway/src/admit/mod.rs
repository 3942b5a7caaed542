//! What may come in: who asks, how much at once, for how long.

mod answer;
mod deadline;
mod identity;
mod load;

pub use answer::ReadBytes;
pub use deadline::Deadline;
pub use identity::{is_grpc, require_identity};
pub use load::{Admitted, Load, admit};

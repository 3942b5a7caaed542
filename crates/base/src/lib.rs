//! The ground floor: names, faults, declaration kits, and the seams to the outside world.
//!
//! What it is. Everything that more than one room needs and that belongs to none of them: typed ids,
//! the domain [`fault::Fault`], the [`filter`] language, the shapes of [`vectors`], the kits with which a room declares its knobs,
//! metrics and events, and the traits through which the whole system reaches clock, disk, randomness and
//! tasks.
//!
//! How data flows through it. The binary builds real seams once and hands them down; a simulation hands
//! down seeded fakes instead. Rooms receive values (knobs) and seams, and hand back faults and events.
//!
//! What it must never know. Points, how vectors are compared, Raft, HTTP, gRPC, or any room by name. It starts no thread
//! and links no async runtime.

pub mod clock;
pub mod disk;
pub mod event;
pub mod fault;
pub mod filter;
pub mod ids;
pub mod knob;
pub mod metric;
pub mod pool;
pub mod random;
pub mod vectors;

pub use fault::{Code, Fault, FieldError, Outcome};

//! vectron-wire

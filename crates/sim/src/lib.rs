//! vectron-sim

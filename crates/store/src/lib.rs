//! vectron-store

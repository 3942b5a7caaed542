//! vectron-worker

//! vectron-index

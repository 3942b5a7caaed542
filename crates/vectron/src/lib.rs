//! vectron

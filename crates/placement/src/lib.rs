//! vectron-placement

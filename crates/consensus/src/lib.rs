//! vectron-consensus

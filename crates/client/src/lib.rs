//! vectron-client

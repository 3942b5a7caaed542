//! vectron-gateway

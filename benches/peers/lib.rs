//! Nothing of its own: the benches of this package measure ours against published clients.

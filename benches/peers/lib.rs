//! Empty: this package only holds benches that compare kite-wire with published clients.

//! Checks whether the current runtime can run a connection.

use std::net::{Ipv4Addr, UdpSocket};
use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::SpawnError;

/// Returns the current runtime, if it has timers and I/O.
///
/// Tokio cannot be asked. It panics when a timer or a socket is created on a runtime without them,
/// so one of each is created here, where the panic changes nothing and is caught.
pub(crate) fn current() -> Result<Handle, SpawnError> {
    let runtime = Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
    if catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_err() {
        return Err(SpawnError::NoTimers);
    }
    // A machine that refuses this socket shows nothing about the runtime.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    if let Ok(socket) = socket
        && socket.set_nonblocking(true).is_ok()
        && catch_unwind(|| drop(tokio::net::UdpSocket::from_std(socket))).is_err()
    {
        return Err(SpawnError::NoIo);
    }
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_runtime_needs_timers_and_io() {
        let checked = |builder: &mut Builder| {
            let runtime = builder.build().unwrap();
            let _entered = runtime.enter();
            current().map(|runtime| runtime.id())
        };
        assert_eq!(current().map(|_| ()).unwrap_err(), SpawnError::NoRuntime);
        for make in [Builder::new_current_thread, Builder::new_multi_thread] {
            let make = || {
                let mut builder = make();
                builder.worker_threads(1);
                builder
            };
            assert_eq!(checked(&mut make()), Err(SpawnError::NoTimers));
            assert_eq!(checked(make().enable_io()), Err(SpawnError::NoTimers));
            assert_eq!(checked(make().enable_time()), Err(SpawnError::NoIo));
            checked(make().enable_all()).unwrap();
        }
    }
}

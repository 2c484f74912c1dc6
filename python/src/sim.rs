//! The class `Server`: the simulated market, or a replay of tapes, on loopback.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kite_sim::{
    ACCESS_TOKEN, API_KEY, Fault, FaultError, FaultScript, PlannedFault, Replay, Sim, SimBuilder,
    Speed, Start,
};
use kite_tape::Reel;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::arguments;
use crate::feed::lock;
use crate::runtime;

/// Kite's ticker server on loopback.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Server {
    runtime: Handle,
    /// `None` once it was stopped.
    sim: Mutex<Option<Arc<Sim>>>,
    root: String,
}

#[pymethods]
impl Server {
    /// Starts a simulated market.
    #[staticmethod]
    fn market(py: Python<'_>, rate: f64, seed: u64, faults: Vec<String>) -> PyResult<Self> {
        if !(0.0..=1_000.0).contains(&rate) {
            return Err(invalid(format!("rate is {rate}; it must be from 0 to 1,000")));
        }
        let builder = Sim::builder().seed(seed).updates_per_second(rate);
        Self::start(py, builder.script(script(py, &faults)?))
    }

    /// Starts a replay; without a speed, as fast as the clients read.
    #[staticmethod]
    fn replay(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        speed: Option<f64>,
        sockets: usize,
        faults: Vec<String>,
    ) -> PyResult<Self> {
        let reel = Reel::open(&paths).map_err(|error| PyOSError::new_err(error.to_string()))?;
        let speed = match speed {
            None => Speed::AsRead,
            Some(times) if times > 0.0 && times.is_finite() => Speed::Times(times),
            Some(times) => return Err(invalid(format!("speed is {times}; it must be above 0"))),
        };
        let replay = Replay::new(reel).speed(speed).start(Start::Sockets(sockets));
        Self::start(py, Sim::builder().replay(replay).script(script(py, &faults)?))
    }

    /// The URL to connect to.
    #[getter]
    fn root(&self) -> &str {
        &self.root
    }

    /// The API key that it accepts.
    #[getter]
    fn api_key(&self) -> &'static str {
        API_KEY
    }

    /// The access token that it accepts, unless another was set.
    #[getter]
    fn access_token(&self) -> &'static str {
        ACCESS_TOKEN
    }

    /// Injects a fault: `reset`, or `5s=reset` for later, or `handshake2=refusal:503`, counted from
    /// now.
    fn fault(&self, py: Python<'_>, fault: &str) -> PyResult<()> {
        let has_time = fault.contains('=');
        let planned = if has_time { fault.parse() } else { format!("0s={fault}").parse() };
        let planned: PlannedFault = planned.map_err(|error| unknown(py, fault, &error))?;
        self.sim()?.play(FaultScript::new(API_KEY).plan(&planned));
        Ok(())
    }

    /// Ends lasting faults.
    fn heal(&self) -> PyResult<()> {
        self.sim()?.heal(API_KEY);
        Ok(())
    }

    /// Sends one update of each of these instruments to the sockets subscribed to them; of one that is
    /// there several times, as many.
    fn tick(&self, tokens: Vec<u32>) -> PyResult<()> {
        let sim = self.sim()?;
        let mut rest = tokens.as_slice();
        // A frame has an instrument once.
        while !rest.is_empty() {
            let mut seen = HashSet::new();
            let distinct = rest.iter().take_while(|&&token| seen.insert(token)).count();
            let (frame, later) = rest.split_at(distinct);
            sim.tick_now(frame);
            rest = later;
        }
        Ok(())
    }

    /// Sends a text frame to every socket.
    fn text(&self, text: &str) -> PyResult<()> {
        self.sim()?.send_text(text);
        Ok(())
    }

    /// Replaces the access token that it accepts.
    fn set_access_token(&self, access_token: &str) -> PyResult<()> {
        self.sim()?.set_access_token(API_KEY, access_token);
        Ok(())
    }

    /// Returns the subscriptions of each open socket, with their modes.
    fn subscriptions(&self) -> PyResult<Vec<std::collections::BTreeMap<u32, &'static str>>> {
        let sockets = self.sim()?.subscriptions();
        let named = |(token, mode): (u32, kite_manager::Mode)| (token, mode.as_str());
        Ok(sockets.into_iter().map(|socket| socket.into_iter().map(named).collect()).collect())
    }

    /// Waits until a replay has sent everything, closes the sockets with 1001, and waits until the
    /// clients have read everything; returns whether they had within this many seconds.
    fn wait_finished(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let sim = self.sim()?;
        let at_most = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
        Ok(py.detach(|| {
            let finished = async {
                sim.replay_finished().await;
                sim.finish("the tape has ended", at_most).await.is_empty()
            };
            let finished = async { tokio::time::timeout(at_most, finished).await };
            self.runtime.block_on(finished).unwrap_or(false)
        }))
    }

    /// Stops it, and drops its sockets.
    fn stop(&self, py: Python<'_>) {
        let sim = lock(&self.sim).take();
        if let Some(sim) = sim {
            py.detach(|| self.runtime.block_on(sim.stop()));
        }
    }
}

impl Server {
    fn start(py: Python<'_>, builder: SimBuilder) -> PyResult<Self> {
        let runtime = runtime::handle()?;
        let sim = py
            .detach(|| runtime.block_on(builder.start()))
            .map_err(|error| PyOSError::new_err(error.to_string()))?;
        let root = sim.endpoint();
        Ok(Self { runtime, sim: Mutex::new(Some(Arc::new(sim))), root })
    }

    fn sim(&self) -> PyResult<Arc<Sim>> {
        lock(&self.sim).clone().ok_or_else(|| PyRuntimeError::new_err("the server was stopped"))
    }
}

/// Returns the exception of a text that is no fault, with similar ones.
fn unknown(py: Python<'_>, fault: &str, error: &FaultError) -> PyErr {
    let advice = match error {
        FaultError::Kind { kind } => {
            arguments::choice(py, kind, Fault::KINDS.iter().map(|kind| kind.name()))
        }
        _ => Ok(String::new()),
    };
    match advice {
        Ok(advice) => invalid(format!("fault {fault}: {error}{advice}")),
        Err(error) => error,
    }
}

fn script(py: Python<'_>, faults: &[String]) -> PyResult<FaultScript> {
    faults.iter().try_fold(FaultScript::new(API_KEY), |script, fault| {
        let planned: PlannedFault = fault.parse().map_err(|error| unknown(py, fault, &error))?;
        Ok(script.plan(&planned))
    })
}

fn invalid(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

//! `kite sim`.

use crate::clients;
use crate::process::{Running, kite, run, sim};

#[test]
fn it_prints_its_endpoint_and_ends_with_a_summary() {
    let mut sim = Running::start(kite(&["sim"]));
    let endpoint = sim.line().replace("endpoint  ", "");
    assert!(endpoint.starts_with("ws://127.0.0.1:"), "{endpoint}");
    assert_eq!(sim.line(), "export KITE_API_KEY=sim_api_key KITE_ACCESS_TOKEN=sim_access_token");
    assert!(sim.line().starts_with("kite watch --endpoint ws://127.0.0.1:"));
    clients::check(&mut sim, &endpoint);
    sim.interrupt();
    let ended = sim.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("3 sockets, 0 ticks in 0 frames, "), "{ended:?}");
}

#[test]
fn sigterm_stops_it_cleanly() {
    let (sim, _) = sim(&[]);
    sim.signal("-TERM");
    assert_eq!(sim.ended().code, Some(0));
}

#[test]
fn it_stops_after_the_given_time() {
    let ended = run(&mut kite(&["sim", "--json", "--for", "10ms", "--accounts", "3"]));
    assert_eq!(ended.code, Some(0));
    let first = ended.out.lines().next().and_then(|line| serde_json::from_str(line).ok());
    let report: serde_json::Value = first.expect("a line of JSON");
    assert_eq!(report["accounts"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["accounts"][2]["api_key"], "sim_api_key_3");
}

#[test]
fn a_port_in_use_is_status_three() {
    let (_sim, endpoint) = sim(&[]);
    let port = endpoint.rsplit(':').next().expect("a port");
    let ended = run(&mut kite(&["sim", "--port", port]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.starts_with("error: cannot start the simulator: "), "{ended:?}");
}

#[test]
fn faults_are_listed_and_an_unknown_one_is_invalid_usage() {
    let listed = run(&mut kite(&["sim", "--list-faults"]));
    assert_eq!(listed.code, Some(0));
    assert!(listed.out.contains("half_open[:TIME]"));
    assert!(listed.out.contains("slow_link[:BYTES]"));
    let wrong = run(&mut kite(&["sim", "--fault", "5s=halfopen"]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("there is no fault \"halfopen\""), "{wrong:?}");
}

use proptest::prelude::*;

use super::model::{Rig, Settings, Socket};
use super::ops::{self, Op, misconfigured, no_token, refused, unreachable};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const THRESHOLD: Duration = Duration::from_secs(10);
const CAP: Duration = Duration::from_secs(30);
const STABLE_AFTER: Duration = Duration::from_secs(10);
const STALE_AFTER: Duration = Duration::from_secs(60);
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

fn settings() -> Settings {
    Settings {
        reconnect: Reconnect {
            delay: 2 * SECOND,
            delay_cap: CAP,
            backoff: crate::config::Backoff::FullJitter,
            max_attempts: usize::MAX,
            stable_after: STABLE_AFTER,
            jitter_seed: 7,
        },
        liveness: Liveness {
            silence_threshold: THRESHOLD,
            stale_after: STALE_AFTER,
            close_deadline: CLOSE_DEADLINE,
        },
        renews: Renews::Never,
        has_token: true,
    }
}

/// Returns the settings with a change applied.
fn with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = settings();
    change(&mut settings);
    settings
}

fn expired() -> OpenError {
    refused(403, Some("Authentication failed."), None)
}

fn eof() -> Input {
    Input::Lost(LossCause::Eof)
}

#[test]
fn a_session_opens_immediately_and_waits_for_the_answer() {
    let mut rig = Rig::new(settings());
    assert_eq!(rig.settle(), ["opening 1", "open"]);
    assert_eq!(rig.wait, None);
    assert!(!rig.session.is_live());
    assert_eq!(rig.session.epoch(), 0);
}

#[test]
fn earlier_subscriptions_are_sent_once_the_socket_is_open() {
    let mut rig = Rig::new(settings());
    rig.set_mode(2, Some(Mode::Full));
    assert_eq!(rig.settle(), ["opening 1", "open"]);
    rig.set_mode(1, Some(Mode::Quote));
    assert!(rig.settle().is_empty());
    let expected = [
        "up 1 with 2",
        r#"{"a":"subscribe","v":[1,2]}"#,
        r#"{"a":"mode","v":["quote",[1]]}"#,
        r#"{"a":"mode","v":["full",[2]]}"#,
    ];
    assert_eq!(rig.on(Input::Opened), expected);
    assert_eq!(rig.wait, Some(THRESHOLD));
}

#[test]
fn a_live_session_sends_only_the_difference_immediately() {
    let mut rig = Rig::live(settings());
    rig.set_mode(1, Some(Mode::Quote));
    assert_eq!(rig.settle().len(), 2);
    rig.set_mode(1, Some(Mode::Ltp));
    assert_eq!(rig.settle(), [r#"{"a":"mode","v":["ltp",[1]]}"#]);
    rig.set_mode(1, None);
    assert_eq!(rig.settle(), [r#"{"a":"unsubscribe","v":[1]}"#, "ping"]);
}

#[test]
fn the_answer_to_the_ping_after_an_unsubscribe_shows_that_it_was_read() {
    let mut rig = Rig::live(settings());
    for token in 1..=3 {
        rig.set_mode(token, Some(Mode::Quote));
    }
    rig.settle();
    rig.set_mode(1, None);
    rig.set_mode(2, None);
    rig.settle();
    let first = rig.ping;
    // Subscribed again before the answer, and removed again before that is sent.
    rig.set_mode(1, Some(Mode::Quote));
    rig.settle();
    rig.set_mode(2, Some(Mode::Quote));
    rig.set_mode(2, None);
    rig.set_mode(9, Some(Mode::Quote));
    rig.set_mode(9, None);
    assert_eq!(rig.settle(), ["departed [9]"], "2 may still be sent");
    rig.set_mode(3, None);
    rig.settle();
    assert!(rig.session.departed(b"unasked").is_empty());
    assert_eq!(rig.session.departed(&first), [1, 2]);
    assert_eq!(rig.settle(), ["departed [2]"], "its second departure");
    let last = rig.ping;
    rig.on(eof());
    assert!(rig.session.departed(&last).is_empty(), "the socket is gone");
}

#[test]
fn reconnect_replays_the_desired_set_in_its_exact_modes() {
    let mut rig = Rig::live(settings());
    rig.set_mode(5, Some(Mode::Ltp));
    rig.set_mode(6, Some(Mode::Full));
    rig.set_mode(7, Some(Mode::Full));
    rig.settle();
    let lost = rig.on(eof());
    let cause = LossCause::Eof.to_string();
    assert_eq!(lost, [format!("down 1: {cause}"), "retry 2".to_owned()]);
    rig.set_mode(7, None);
    rig.set_mode(8, Some(Mode::Quote));
    assert!(rig.settle().is_empty(), "nothing is sent while waiting");
    assert_eq!(rig.after(rig.delay), ["opening 2", "open"]);
    let expected = [
        "up 2 with 3",
        r#"{"a":"subscribe","v":[5,6,8]}"#,
        r#"{"a":"mode","v":["ltp",[5]]}"#,
        r#"{"a":"mode","v":["quote",[8]]}"#,
        r#"{"a":"mode","v":["full",[6]]}"#,
    ];
    assert_eq!(rig.on(Input::Opened), expected);
}

#[test]
fn refused_credentials_park_until_others_are_set() {
    for status in [400, 401, 403] {
        let mut rig = Rig::new(settings());
        rig.set_mode(1, Some(Mode::Full));
        rig.settle();
        let error = refused(status, Some("Invalid `access_token` or `api_key`."), None);
        assert_eq!(rig.on(Input::OpenFailed(error)), ["failed 1", "parked: authentication"]);
        assert_eq!(rig.wait, None);
        assert!(rig.after(Duration::from_secs(86_400)).is_empty());
        assert_eq!(rig.on(Input::CredentialsChanged), ["opening 1", "open"]);
        assert_eq!(rig.on(Input::Opened).len(), 3, "the subscription is kept");
    }
}

#[test]
fn credentials_set_during_an_attempt_restart_it() {
    let mut rig = Rig::new(settings());
    rig.settle();
    assert_eq!(rig.on(Input::CredentialsChanged), ["abort", "opening 1", "open"]);
    assert_eq!(rig.on(Input::Opened), ["up 1 with 0"]);
}

#[test]
fn credentials_set_while_waiting_are_tried_immediately() {
    let mut rig = Rig::new(settings());
    rig.settle();
    rig.on(Input::OpenFailed(unreachable()));
    assert_eq!(rig.on(Input::CredentialsChanged), ["opening 1", "open"]);
}

#[test]
fn an_open_socket_survives_new_credentials() {
    let mut rig = Rig::live(settings());
    assert!(rig.on(Input::CredentialsChanged).is_empty());
    assert!(rig.session.is_live());
}

#[test]
fn a_refusal_without_kites_json_is_retried_slowly() {
    for status in [301, 400, 401, 403, 418] {
        for seed in 0..20 {
            let mut rig = Rig::new(with(|it| it.reconnect.jitter_seed = seed));
            rig.settle();
            let error = refused(status, None, None);
            assert_eq!(rig.on(Input::OpenFailed(error)), ["failed 1", "retry 2"]);
            assert!(rig.delay >= CAP / 2 && rig.delay <= CAP, "{:?}", rig.delay);
            assert_eq!(rig.wait, Some(rig.delay));
        }
    }
}

#[test]
fn a_retry_after_from_a_busy_server_is_respected() {
    let retry_after = 45 * SECOND;
    for status in [429, 503] {
        let mut rig = Rig::new(settings());
        rig.settle();
        rig.on(Input::OpenFailed(refused(status, Some("Too many requests"), Some(retry_after))));
        assert_eq!(rig.delay, retry_after);
        assert!(rig.after(retry_after - SECOND).is_empty());
        assert_eq!(rig.after(SECOND), ["opening 2", "open"]);
    }
}

#[test]
fn no_refusal_stops_the_connection_for_longer_than_five_minutes() {
    let five_minutes = 300 * SECOND;
    for status in [302, 403, 407, 429, 500, 503] {
        for retry_after in [five_minutes - SECOND, five_minutes, 24 * 3_600 * SECOND] {
            for by_proxy in [false, true] {
                let mut rig = Rig::new(settings());
                rig.settle();
                let error = match refused(status, None, Some(retry_after)) {
                    OpenError::Refused(refusal) if by_proxy => {
                        OpenError::ProxyRefused { proxy: "p:3128".to_owned(), refusal }
                    }
                    error => error,
                };
                rig.on(Input::OpenFailed(error));
                assert_eq!(rig.delay, retry_after.min(five_minutes), "{status}, {retry_after:?}");
                assert_eq!(rig.after(rig.delay), ["opening 2", "open"]);
            }
        }
    }
}

#[test]
fn a_busy_server_that_asks_for_less_gets_the_exponential_step() {
    let mut rig = Rig::new(settings());
    rig.settle();
    let mut longest = Duration::ZERO;
    for _ in 0..40 {
        rig.on(Input::OpenFailed(refused(429, None, Some(Duration::from_millis(1)))));
        assert!(rig.delay >= Duration::from_millis(1) && rig.delay <= CAP);
        longest = longest.max(rig.delay);
        rig.after(rig.delay);
    }
    assert!(longest > CAP / 2, "{longest:?}");
}

#[test]
fn a_kite_error_with_another_status_is_not_an_authentication_failure() {
    let mut rig = Rig::new(settings());
    rig.settle();
    let error = refused(500, Some("Something went wrong."), None);
    assert_eq!(rig.on(Input::OpenFailed(error)), ["failed 1", "retry 2"]);
}

#[test]
fn an_error_that_only_another_configuration_fixes_parks() {
    let mut rig = Rig::new(settings());
    rig.settle();
    let transcript = rig.on(Input::OpenFailed(misconfigured()));
    assert_eq!(transcript, ["failed 1", "parked: configuration"]);
}

#[test]
fn used_up_attempts_park_and_are_reported() {
    let mut rig = Rig::new(with(|it| it.reconnect.max_attempts = 2));
    rig.settle();
    for attempt in 1..=2 {
        let next = attempt + 1;
        let transcript = rig.on(Input::OpenFailed(unreachable()));
        assert_eq!(transcript, [format!("failed {attempt}"), format!("retry {next}")]);
        assert_eq!(rig.after(rig.delay), [format!("opening {next}"), "open".to_owned()]);
    }
    let transcript = rig.on(Input::OpenFailed(unreachable()));
    assert_eq!(transcript, ["failed 3", "parked: 3 failures, 2 allowed"]);
    assert_eq!(rig.wait, None);
    assert_eq!(rig.on(Input::CredentialsChanged), ["opening 1", "open"]);
}

#[test]
fn a_connection_without_attempts_parks_at_its_first_loss() {
    let mut rig = Rig::live(with(|it| it.reconnect.max_attempts = 0));
    assert_eq!(rig.on(eof())[1..], ["parked: 1 failures, 0 allowed"]);
}

#[test]
fn silence_sends_a_ping_and_then_ends_the_socket() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.wait, Some(THRESHOLD));
    assert!(rig.after(THRESHOLD - SECOND).is_empty());
    assert_eq!(rig.after(SECOND), ["ping"]);
    assert_eq!(rig.wait, Some(THRESHOLD));
    assert!(rig.after(THRESHOLD - SECOND).is_empty(), "one ping for one silence");
    let down = format!("down 1: {}", LossCause::Silence { silence: 2 * THRESHOLD });
    assert_eq!(rig.after(SECOND), ["abort".to_owned(), down, "retry 2".to_owned()]);
}

#[test]
fn a_session_that_runs_late_pings_before_it_gives_up() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.after(100 * THRESHOLD), ["ping"]);
    assert_eq!(rig.wait, Some(THRESHOLD));
    rig.session.on_frame(rig.now, false);
    assert!(rig.after(THRESHOLD - SECOND).is_empty());
}

#[test]
fn anything_received_keeps_the_socket() {
    let mut rig = Rig::live(settings());
    for _ in 0..50 {
        assert_eq!(rig.after(THRESHOLD), ["ping"]);
        rig.now += THRESHOLD - SECOND;
        rig.session.on_frame(rig.now, false);
        assert!(rig.settle().is_empty());
        assert_eq!((rig.wait, rig.why), (Some(THRESHOLD), Some(Why::Silence)));
    }
}

#[test]
fn a_wait_has_a_reason() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.why, Some(Why::Silence));
    rig.after(THRESHOLD);
    assert_eq!(rig.why, Some(Why::Pong));
    rig.on(eof());
    assert_eq!(rig.why, Some(Why::Retry));
    let mut rig = Rig::live(settings());
    rig.on(Input::ReadingPaused(true));
    assert_eq!((rig.wait, rig.why), (None, None), "nothing to wake for");
    rig.on(Input::WriteBlocked(true));
    assert_eq!(rig.why, Some(Why::Write));
    rig.on(Input::Close);
    assert_eq!(rig.why, Some(Why::Close));
    let mut rig = Rig::live(with(|it| it.liveness.stale_after = SECOND));
    rig.set_mode(1, Some(Mode::Full));
    rig.settle();
    assert_eq!(rig.why, Some(Why::Ticks));
}

/// Advances time and answers every ping immediately.
fn with_pongs(rig: &mut Rig, time: Duration) -> Vec<String> {
    let until = rig.now + time;
    let mut transcript = Vec::new();
    while rig.now < until && rig.session.is_live() {
        let step = rig.wait.unwrap_or(SECOND).min(until - rig.now);
        let mut lines = rig.after(step);
        if lines.iter().any(|line| line == "ping") {
            let payload = rig.ping;
            assert_eq!(rig.session.on_pong(rig.now, &payload), Some(Duration::ZERO));
            lines.extend(rig.settle());
        }
        transcript.extend(lines.into_iter().filter(|line| line != "ping"));
    }
    transcript
}

#[test]
fn pongs_without_a_feed_reconnect_later_each_time() {
    let mut rig = Rig::live(settings());
    let mut patience = 2 * THRESHOLD;
    for epoch in 1..=8 {
        let silence = 2 * THRESHOLD;
        let transcript = with_pongs(&mut rig, patience);
        let cause = LossCause::FeedSilence { silence: patience };
        let expected = [
            format!("feed silent for {silence:?}, {:?} left", patience - silence),
            "abort".to_owned(),
            format!("down {epoch}: {cause}"),
        ];
        assert_eq!(transcript[..3], expected, "{transcript:?}");
        // A snapshot does not count as a feed.
        rig.after(rig.delay);
        rig.on(Input::Opened);
        rig.session.on_frame(rig.now, true);
        patience = (patience * 2).min(2 * THRESHOLD * 32);
    }
    assert_eq!(patience, 2 * THRESHOLD * 32, "ten minutes at most");
    // A feed that flows for a while restores the short patience.
    for _ in 0..25 {
        rig.now += SECOND;
        rig.session.on_frame(rig.now, false);
        rig.settle();
    }
    let socket = with_pongs(&mut rig, 2 * THRESHOLD);
    assert!(socket.iter().any(|line| line.starts_with("down")), "this socket: {socket:?}");
    rig.after(rig.delay);
    rig.on(Input::Opened);
    // After one silence the next is tolerated for twice as long again.
    assert_eq!(with_pongs(&mut rig, 3 * THRESHOLD).len(), 1);
    assert!(with_pongs(&mut rig, THRESHOLD).iter().any(|line| line.starts_with("down")));
}

#[test]
fn a_socket_is_pinged_immediately_after_a_suspension() {
    let mut rig = Rig::live(settings());
    rig.now += SECOND;
    let slept = Duration::from_secs(3_600);
    assert_eq!(rig.on(Input::Suspended(slept)), ["slept 3600s".to_owned(), "ping".to_owned()]);
    assert_eq!(rig.why, Some(Why::Pong));
    assert_eq!(
        rig.after(THRESHOLD).len(),
        3,
        "no answer ends the socket, regardless of what was received before"
    );
}

#[test]
fn a_delay_passes_while_the_machine_sleeps() {
    let mut rig = Rig::new(settings());
    rig.settle();
    let retry_after = 100 * SECOND;
    rig.on(Input::OpenFailed(refused(429, None, Some(retry_after))));
    assert_eq!(rig.on(Input::Suspended(40 * SECOND)), ["slept 40s"]);
    assert_eq!(rig.wait, Some(60 * SECOND));
    let resumed = rig.on(Input::Suspended(3_600 * SECOND));
    assert_eq!(resumed, ["slept 3600s", "opening 2", "open"]);
}

#[test]
fn the_round_trip_of_the_last_ping_is_measured() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.on(Input::Ping), ["ping"]);
    let first = rig.ping;
    rig.now += SECOND;
    assert_eq!(rig.on(Input::Ping), ["ping"]);
    rig.now += SECOND;
    assert_eq!(rig.session.on_pong(rig.now, &first), None);
    let last = rig.ping;
    assert_eq!(rig.session.on_pong(rig.now, &last), Some(SECOND));
    rig.on(eof());
    assert_eq!(rig.session.on_pong(rig.now, &last), None, "the socket is gone");
}

#[test]
fn stale_ticks_are_reported_once_and_do_not_reconnect() {
    let mut rig = Rig::live(settings());
    let heartbeats = |rig: &mut Rig, seconds: u32| -> Vec<String> {
        let beat = |rig: &mut Rig| {
            rig.now += SECOND;
            assert!(!rig.session.on_frame(rig.now, false));
            rig.settle()
        };
        (0..seconds).flat_map(|_| beat(rig)).collect()
    };
    assert!(heartbeats(&mut rig, 600).is_empty(), "no subscriptions, so nothing is stale");
    rig.set_mode(1, Some(Mode::Full));
    assert_eq!(rig.settle().len(), 2);
    assert!(heartbeats(&mut rig, 59).is_empty());
    assert_eq!(heartbeats(&mut rig, 541), ["stale for 60s"]);
    assert!(rig.session.on_frame(rig.now, true), "the end of staleness is due");
    assert_eq!(rig.settle(), ["ticks after 600s"]);
    assert!(!rig.session.on_frame(rig.now, true));
    assert!(rig.settle().is_empty() && rig.session.is_live());
}

#[test]
fn staleness_may_end_on_another_socket() {
    let mut rig = Rig::live(settings());
    rig.set_mode(1, Some(Mode::Full));
    rig.settle();
    for _ in 0..60 {
        rig.now += SECOND;
        rig.session.on_frame(rig.now, false);
    }
    assert_eq!(rig.settle(), ["stale for 60s"]);
    rig.on(eof());
    rig.after(rig.delay);
    assert_eq!(rig.on(Input::Opened).len(), 3);
    assert!(rig.session.on_frame(rig.now, true));
    assert!(rig.settle()[0].starts_with("ticks after 6"), "the whole silence");
}

#[test]
fn a_subscription_made_as_the_socket_dies_does_not_count_as_sent() {
    let mut rig = Rig::live(settings());
    rig.set_mode(1, Some(Mode::Full));
    rig.settle();
    assert_eq!(rig.after(THRESHOLD), ["ping"]);
    rig.now += THRESHOLD;
    rig.set_mode(2, Some(Mode::Full));
    assert_eq!(rig.settle().len(), 3);
    assert_eq!(rig.session.announced().keys().copied().collect::<Vec<_>>(), [1]);
}

#[test]
fn ticks_are_not_stale_while_reading_is_paused() {
    let mut rig = Rig::live(settings());
    rig.set_mode(1, Some(Mode::Full));
    rig.settle();
    rig.on(Input::ReadingPaused(true));
    assert!(rig.after(100 * STALE_AFTER).is_empty());
    assert!(rig.on(Input::ReadingPaused(false)).is_empty());
}

#[test]
fn instruments_rejected_at_the_limit_stay_desired() {
    let mut rig = Rig::live(settings());
    rig.set_mode(1, Some(Mode::Ltp));
    rig.settle();
    rig.now += 15 * SECOND;
    rig.session.on_frame(rig.now, true);
    rig.set_mode(2, Some(Mode::Full));
    rig.settle();
    let refusal = |text: &str| Input::ServerError(text.to_owned());
    let text = "Can't subscribe to more than 3000 instruments.";
    assert_eq!(rig.on(refusal(text)), ["1 refused"]);
    assert!(rig.on(refusal(text)).is_empty(), "the error about its mode changes nothing");
    assert!(rig.after(SECOND).is_empty(), "not sent again while there is no room");
    rig.set_mode(1, None);
    let expected = [
        r#"{"a":"unsubscribe","v":[1]}"#,
        "ping",
        r#"{"a":"subscribe","v":[2]}"#,
        r#"{"a":"mode","v":["full",[2]]}"#,
    ];
    assert_eq!(rig.settle(), expected);
    assert!(
        rig.on(refusal("Too many requests.")).is_empty(),
        "other errors are not about the limit"
    );
}

fn renewing() -> Settings {
    with(|it| it.renews = Renews::AfterDelay)
}

#[test]
fn a_token_source_is_not_called_while_the_credentials_are_not_refused() {
    let mut rig = Rig::new(renewing());
    assert_eq!(rig.settle(), ["opening 1", "open"]);
    rig.on(Input::Opened);
    rig.on(eof());
    assert_eq!(rig.after(rig.delay), ["opening 2", "open"]);
    rig.on(Input::OpenFailed(unreachable()));
    assert_eq!(rig.after(rig.delay), ["opening 3", "open"]);
    rig.on(Input::OpenFailed(refused(403, None, None)));
    assert_eq!(rig.after(rig.delay), ["opening 4", "open"], "this refusal is not Kite's");
}

#[test]
fn a_token_source_is_called_before_the_first_attempt_if_there_is_no_token() {
    let mut rig = Rig::new(with(|it| (it.renews, it.has_token) = (Renews::AfterDelay, false)));
    assert_eq!(rig.settle(), ["renewing 1", "renew"]);
    assert_eq!(rig.wait, None);
    assert_eq!(rig.on(no_token()), ["not renewed 1", "retry 2"]);
    assert_eq!(rig.after(rig.delay), ["renewing 2", "renew"]);
    assert_eq!(rig.on(Input::Renewed), ["opening 2", "open"]);
    let mut rig = Rig::new(with(|it| it.has_token = false));
    assert_eq!(rig.settle(), ["opening 1", "open"], "the server decides");
}

#[test]
fn new_credentials_end_a_delay_or_a_renewal_but_do_not_shorten_the_next_delays_of_a_source() {
    let mut rig = Rig::new(renewing());
    rig.settle();
    rig.on(Input::OpenFailed(expired()));
    assert_eq!(rig.on(Input::CredentialsChanged), ["opening 2", "open"]);
    rig.on(Input::OpenFailed(expired()));
    assert_eq!(rig.after(rig.delay), ["renewing 3, refused", "renew"]);
    assert_eq!(rig.on(Input::CredentialsChanged), ["abort", "opening 3", "open"]);
    assert_eq!(rig.on(Input::OpenFailed(expired())), ["failed 3", "retry 4"]);
}

#[test]
fn a_refusal_calls_the_token_source_and_does_not_park() {
    let mut rig = Rig::new(renewing());
    rig.settle();
    assert_eq!(rig.on(Input::OpenFailed(expired())), ["failed 1", "retry 2"]);
    assert_eq!(rig.after(rig.delay), ["renewing 2, refused", "renew"]);
    assert_eq!(rig.on(Input::Renewed), ["opening 2", "open"]);
    assert_eq!(rig.on(Input::OpenFailed(unreachable())), ["failed 2", "retry 3"]);
    assert_eq!(rig.after(rig.delay), ["opening 3", "open"], "the new ones were not refused");
}

#[test]
fn a_failing_token_source_is_called_again_with_growing_delays() {
    let mut rig = Rig::live(renewing());
    rig.on(eof());
    rig.after(rig.delay);
    rig.on(Input::OpenFailed(expired()));
    let mut longest = Duration::ZERO;
    for attempt in 3..40 {
        assert_eq!(
            rig.after(rig.delay),
            [format!("renewing {attempt}, refused"), "renew".to_owned()]
        );
        let transcript = rig.on(no_token());
        assert_eq!(
            transcript,
            [format!("not renewed {attempt}"), format!("retry {}", attempt + 1)]
        );
        longest = longest.max(rig.delay);
    }
    assert!(longest > CAP / 2 && longest <= CAP, "{longest:?}");
}

#[test]
fn a_source_that_waits_itself_is_asked_without_a_delay_and_a_failing_one_with_growing_delays() {
    let mut rig = Rig::new(with(|it| it.renews = Renews::Promptly));
    rig.settle();
    for attempt in 1..5 {
        let (failed, next) = (format!("failed {attempt}"), attempt + 1);
        let (retry, asked) = (format!("retry {next}"), format!("renewing {next}, refused"));
        let transcript = rig.on(Input::OpenFailed(expired()));
        assert_eq!(transcript, [failed, retry, asked, "renew".to_owned()]);
        rig.on(Input::Renewed);
    }
    rig.on(Input::OpenFailed(expired()));
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        rig.on(no_token());
        longest = longest.max(rig.delay);
        rig.after(rig.delay);
    }
    assert!(longest > CAP / 2 && longest <= CAP, "{longest:?}");
    rig.on(Input::Renewed);
    rig.on(Input::OpenFailed(unreachable()));
    assert!(rig.delay > Duration::ZERO, "no refusal of the credentials");
}

#[test]
fn tokens_that_are_refused_again_are_retried_up_to_the_limit() {
    let mut rig = Rig::new(with(|it| {
        it.renews = Renews::AfterDelay;
        it.reconnect.max_attempts = 3;
    }));
    rig.settle();
    for _ in 0..3 {
        rig.on(Input::OpenFailed(expired()));
        rig.after(rig.delay);
        rig.on(Input::Renewed);
    }
    let end = rig.on(Input::OpenFailed(expired()));
    assert_eq!(end, ["failed 4", "parked: 4 failures, 3 allowed"]);
    assert_eq!(rig.on(Input::CredentialsChanged), ["opening 1", "open"]);
}

#[test]
fn closing_cancels_a_renewal() {
    let mut rig = Rig::new(renewing());
    rig.settle();
    rig.on(Input::OpenFailed(expired()));
    rig.after(rig.delay);
    assert_eq!(rig.socket, Socket::Renewing);
    assert_eq!(rig.on(Input::Close), ["abort", "closed"]);
}

#[test]
fn pending_commands_are_not_sent_to_a_dead_socket() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.after(THRESHOLD), ["ping"]);
    rig.now += THRESHOLD;
    rig.set_mode(1, Some(Mode::Full));
    let transcript = rig.settle();
    assert_eq!(transcript.len(), 3, "{transcript:?}");
    rig.after(rig.delay);
    assert_eq!(rig.on(Input::Opened).len(), 3, "sent on the next socket");
}

#[test]
fn a_peer_that_accepts_no_bytes_is_dead_even_if_it_sends() {
    let mut rig = Rig::live(settings());
    rig.on(Input::WriteBlocked(true));
    for _ in 0..19 {
        rig.now += SECOND;
        rig.session.on_message(rig.now);
        assert!(rig.settle().is_empty());
    }
    let down = format!("down 1: {}", LossCause::WriteBlocked { blocked: 2 * THRESHOLD });
    assert_eq!(rig.after(SECOND), ["abort".to_owned(), down, "retry 2".to_owned()]);
}

#[test]
fn a_peer_that_accepts_bytes_slowly_is_alive() {
    let mut rig = Rig::live(settings());
    rig.on(Input::WriteBlocked(true));
    for _ in 0..10 {
        rig.now += 2 * THRESHOLD - SECOND;
        rig.session.on_frame(rig.now, false);
        assert!(rig.on(Input::WriteProgressed).is_empty());
    }
    rig.now += 2 * THRESHOLD - SECOND;
    rig.session.on_frame(rig.now, false);
    let down = format!("down 1: {}", LossCause::WriteBlocked { blocked: 2 * THRESHOLD });
    assert_eq!(rig.after(SECOND), ["abort".to_owned(), down, "retry 2".to_owned()]);
}

#[test]
fn pings_do_not_accumulate_while_writing_is_blocked() {
    let mut rig = Rig::live(settings());
    rig.on(Input::WriteBlocked(true));
    for _ in 0..100 {
        assert!(rig.on(Input::Ping).is_empty());
    }
    assert!(rig.on(Input::WriteBlocked(false)).is_empty());
    assert_eq!(rig.on(Input::Ping), ["ping"]);
}

#[test]
fn requests_merge_while_writing_is_blocked() {
    let mut rig = Rig::live(settings());
    rig.on(Input::WriteBlocked(true));
    for mode in [Mode::Ltp, Mode::Quote, Mode::Full].into_iter().cycle().take(3_000) {
        rig.set_mode(1, Some(mode));
        assert!(rig.settle().is_empty());
    }
    let expected = [r#"{"a":"subscribe","v":[1]}"#, r#"{"a":"mode","v":["full",[1]]}"#];
    assert_eq!(rig.on(Input::WriteBlocked(false)), expected);
}

#[test]
fn a_slow_consumer_does_not_end_the_socket() {
    let mut rig = Rig::live(settings());
    rig.on(Input::ReadingPaused(true));
    assert!(rig.after(100 * THRESHOLD).is_empty());
    assert!(rig.on(Input::ReadingPaused(false)).is_empty());
    assert_eq!(rig.wait, Some(THRESHOLD), "the silence starts over");
    assert_eq!(rig.after(THRESHOLD), ["ping"]);
}

#[test]
fn the_next_socket_starts_with_fresh_state() {
    let mut rig = Rig::live(settings());
    rig.on(Input::ReadingPaused(true));
    rig.on(Input::WriteBlocked(true));
    rig.after(5 * SECOND);
    rig.on(eof());
    rig.after(rig.delay);
    rig.on(Input::Opened);
    assert_eq!(rig.after(THRESHOLD), ["ping"]);
    rig.now += THRESHOLD - SECOND;
    rig.session.on_message(rig.now);
    assert!(rig.settle().is_empty());
}

#[test]
fn only_a_stable_connection_resets_the_failures() {
    let mut rig = Rig::live(settings());
    for failures in 1..=5 {
        rig.now += STABLE_AFTER - SECOND;
        assert_eq!(rig.on(eof())[1..], [format!("retry {}", failures + 1)]);
        assert_eq!(rig.after(rig.delay), [format!("opening {}", failures + 1), "open".into()]);
        rig.on(Input::Opened);
    }
    rig.now += STABLE_AFTER;
    assert_eq!(rig.on(eof())[1..], ["retry 2"]);
    assert!(rig.delay <= settings().reconnect.delay);
}

#[test]
fn closing_a_live_session_sends_a_close_frame() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.on(Input::Close), ["stop waiting", "close"]);
    assert_eq!(rig.wait, Some(CLOSE_DEADLINE));
    rig.set_mode(1, Some(Mode::Full));
    assert!(rig.settle().is_empty(), "nothing is sent after a close frame");
    assert!(rig.on(Input::Close).is_empty());
    assert_eq!(rig.on(eof()), ["closed"]);
    assert!(rig.done);
}

#[test]
fn a_peer_that_does_not_finish_the_close_is_disconnected() {
    let mut rig = Rig::live(settings());
    rig.on(Input::Close);
    assert!(rig.after(CLOSE_DEADLINE / 2).is_empty());
    assert_eq!(rig.wait, Some(CLOSE_DEADLINE / 2));
    assert_eq!(rig.after(CLOSE_DEADLINE / 2), ["abort", "closed, cut"]);
    assert!(rig.done);
}

#[test]
fn an_end_is_clean_if_the_socket_was_read_to_its_end() {
    let close_frame = || LossCause::CloseFrame { code: 1_000, reason: String::new() };
    for (cause, end) in [
        (LossCause::Eof, "closed"),
        (close_frame(), "closed"),
        (LossCause::Io(std::io::ErrorKind::ConnectionReset), "closed, cut"),
        (LossCause::Protocol("a reserved bit".to_owned()), "closed, cut"),
    ] {
        let mut rig = Rig::live(settings());
        rig.on(Input::Close);
        assert_eq!(rig.on(Input::Lost(cause.clone())), [end]);
        let mut rig = Rig::live(settings());
        rig.on(Input::Drain(rig.now + SECOND));
        assert!(rig.on(Input::Lost(cause)).is_empty(), "the consumers take what was received");
        assert_eq!(rig.on(Input::Drained), [end]);
    }
}

#[test]
fn an_end_within_a_message_is_not_clean() {
    let mut rig = Rig::live(settings());
    rig.on(Input::Close);
    rig.session.handle(rig.now, Input::Truncated);
    assert_eq!(rig.cut_by(eof()), ["closed, cut"]);
    let mut rig = Rig::live(settings());
    rig.session.handle(rig.now, Input::Truncated);
    let lost = rig.on(eof());
    assert_eq!(lost[0], format!("down 1: {}", LossCause::Eof), "a loss that was not requested");
}

#[test]
fn a_drain_waits_for_the_server_and_then_for_the_consumers_up_to_its_deadline() {
    let mut rig = Rig::live(settings());
    assert_eq!(rig.on(Input::Drain(rig.now + 60 * SECOND)), ["close"]);
    assert_eq!((rig.wait, rig.why), (Some(60 * SECOND), Some(Why::Close)));
    assert!(rig.after(10 * SECOND).is_empty());
    assert!(rig.on(Input::Drained).is_empty(), "not asked yet");
    assert!(!rig.session.is_draining());
    assert!(rig.on(eof()).is_empty());
    assert!(rig.session.is_draining());
    assert_eq!(rig.wait, Some(50 * SECOND));
    assert!(rig.on(Input::Drain(rig.now + 70 * SECOND)).is_empty());
    assert_eq!(rig.wait, Some(50 * SECOND), "of two deadlines the earlier counts");
    assert!(rig.on(Input::Drain(rig.now + 5 * SECOND)).is_empty());
    assert_eq!(rig.after(5 * SECOND), ["closed"]);
}

#[test]
fn a_drain_at_its_deadline_reads_what_a_slow_consumer_has_held_back() {
    for paused_before in [true, false] {
        let mut rig = Rig::live(settings());
        let pause = |rig: &mut Rig| rig.on(Input::ReadingPaused(true));
        if paused_before {
            pause(&mut rig);
        }
        rig.on(Input::Drain(rig.now + SECOND));
        if !paused_before {
            pause(&mut rig);
        }
        assert_eq!(rig.after(SECOND), ["stop waiting"]);
        assert_eq!(rig.wait, Some(LAST_READING));
        assert_eq!(rig.on(eof()), ["closed"]);
    }
    // Without a pause there is nothing that was not read.
    let mut rig = Rig::live(settings());
    rig.on(Input::Drain(rig.now + SECOND));
    assert_eq!(rig.after(SECOND), ["abort", "closed, cut"]);
}

#[test]
fn a_close_cuts_a_drain_short() {
    let mut rig = Rig::live(settings());
    rig.on(Input::Drain(rig.now + 60 * SECOND));
    assert_eq!(rig.on(Input::Close), ["stop waiting"]);
    assert_eq!(rig.wait, Some(CLOSE_DEADLINE));
    assert_eq!(rig.on(eof()), ["closed"]);

    let mut rig = Rig::live(settings());
    rig.on(Input::Drain(rig.now + 60 * SECOND));
    rig.on(eof());
    assert_eq!(rig.on(Input::Close), ["closed"], "what was received can still be taken");

    let mut rig = Rig::live(settings());
    rig.on(Input::Close);
    assert!(rig.on(Input::Drain(rig.now + 60 * SECOND)).is_empty());
    assert_eq!(rig.on(eof()), ["closed"], "a drain does not undo a close");
}

#[test]
fn a_drain_without_a_socket_waits_for_the_consumers_only() {
    let opening = || {
        let mut rig = Rig::new(settings());
        rig.settle();
        rig
    };
    let waiting = || {
        let mut rig = opening();
        rig.on(Input::OpenFailed(unreachable()));
        rig
    };
    let parked = || {
        let mut rig = opening();
        rig.on(Input::OpenFailed(expired()));
        rig
    };
    let renewing = || {
        let mut rig = Rig::new(with(|it| it.renews = Renews::AfterDelay));
        rig.settle();
        rig.on(Input::OpenFailed(expired()));
        rig.after(rig.delay);
        assert_eq!(rig.socket, Socket::Renewing);
        rig
    };
    let none: [&str; 0] = [];
    for (mut rig, transcript) in [
        (opening(), &["abort"][..]),
        (renewing(), &["abort"][..]),
        (waiting(), &none[..]),
        (parked(), &none[..]),
    ] {
        assert_eq!(rig.on(Input::Drain(rig.now + 60 * SECOND)), transcript);
        assert!(rig.session.is_draining());
        for late in [Input::Opened, Input::CredentialsChanged, Input::Renewed, eof()] {
            assert!(rig.on(late).is_empty());
        }
        assert_eq!(rig.on(Input::Drained), ["closed"]);
    }
}

#[test]
fn closing_ends_every_other_phase_immediately() {
    let opening = || Rig::new(settings());
    let mut rig = opening();
    rig.settle();
    assert_eq!(rig.on(Input::Close), ["abort", "closed"]);

    let mut rig = opening();
    rig.settle();
    rig.on(Input::OpenFailed(unreachable()));
    assert_eq!(rig.on(Input::Close), ["closed"]);

    let mut rig = opening();
    rig.settle();
    rig.on(Input::OpenFailed(expired()));
    assert_eq!(rig.on(Input::Close), ["closed"]);
    for input in [Input::Close, Input::CredentialsChanged, Input::Opened, eof()] {
        assert!(rig.on(input).is_empty());
        assert!(rig.done);
    }
}

#[test]
fn late_inputs_of_a_socket_that_is_gone_change_nothing() {
    let late = || {
        [
            Input::Opened,
            Input::OpenFailed(expired()),
            Input::WriteBlocked(true),
            Input::ReadingPaused(true),
            eof(),
        ]
    };
    let mut waiting = Rig::new(settings());
    waiting.settle();
    waiting.on(Input::OpenFailed(unreachable()));
    let mut parked = Rig::new(settings());
    parked.settle();
    parked.on(Input::OpenFailed(expired()));
    for rig in [&mut waiting, &mut parked] {
        let wait = rig.wait;
        for input in late() {
            assert!(rig.on(input).is_empty());
            assert_eq!(rig.wait, wait);
        }
        rig.session.on_message(rig.now);
        assert!(rig.settle().is_empty());
    }
}

#[test]
fn settings_that_mean_never_do_not_overflow_the_clock() {
    let forever = Duration::MAX;
    let never = with(|it| {
        let reconnect = it.reconnect;
        it.reconnect =
            Reconnect { delay: forever, delay_cap: forever, stable_after: forever, ..reconnect };
        it.liveness =
            Liveness { silence_threshold: forever, stale_after: forever, close_deadline: forever };
    });
    let mut rig = Rig::live(never);
    assert!(rig.after(Duration::from_secs(86_400 * 365)).is_empty());
    rig.on(Input::WriteBlocked(true));
    rig.on(eof());
    rig.on(Input::CredentialsChanged);
    rig.on(Input::OpenFailed(refused(403, None, None)));
    let mut rig = Rig::live(never);
    assert_eq!(rig.on(Input::Close), ["stop waiting", "close"]);
}

fn op() -> impl Strategy<Value = Op> {
    let mode = prop_oneof![
        Just(None),
        Just(Some(Mode::Ltp)),
        Just(Some(Mode::Quote)),
        Just(Some(Mode::Full))
    ];
    let status = prop_oneof![Just(400_u16), Just(403), Just(429), Just(502)];
    prop_oneof![
        6 => (0_u64..25_000).prop_map(|ms| Op::Pass(Duration::from_millis(ms))),
        6 => (0_u32..8, mode).prop_map(|(token, mode)| Op::SetMode(token, mode)),
        8 => Just(Op::Opened),
        2 => (status, any::<bool>()).prop_map(|(status, json)| Op::OpenFailed(status, json)),
        1 => Just(Op::Unreachable),
        1 => Just(Op::Misconfigured),
        3 => Just(Op::Lost),
        3 => Just(Op::CredentialsChanged),
        2 => any::<bool>().prop_map(Op::WriteBlocked),
        2 => any::<bool>().prop_map(Op::ReadingPaused),
        1 => Just(Op::WriteProgressed),
        1 => Just(Op::Broken),
        2 => Just(Op::Message),
        4 => Just(Op::Progress),
        4 => any::<bool>().prop_map(Op::Frame),
        4 => Just(Op::Pong),
        1 => Just(Op::Ping),
        3 => Just(Op::Renewed),
        1 => Just(Op::RenewalFailed),
        1 => Just(Op::LimitRefused),
        1 => (10_u64..100_000).prop_map(|s| Op::Suspended(Duration::from_secs(s))),
        1 => Just(Op::Close),
        1 => (0_u64..25_000).prop_map(|ms| Op::Drain(Duration::from_millis(ms))),
        2 => Just(Op::Drained),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// The rig checks the rules at every step.
    #[test]
    fn any_inputs_in_any_order_keep_the_rules(
        ops in prop::collection::vec(op(), 0..120),
        seed in any::<u64>(),
        max_attempts in prop_oneof![Just(usize::MAX), 0_usize..4],
        renews in prop::sample::select(&[Renews::Never, Renews::AfterDelay, Renews::Promptly][..]),
        has_token in any::<bool>(),
    ) {
        let mut rig = Rig::new(with(|it| {
            it.reconnect.jitter_seed = seed;
            it.reconnect.max_attempts = max_attempts;
            (it.renews, it.has_token) = (renews, has_token);
        }));
        rig.settle();
        for op in ops {
            op.apply(&mut rig);
        }
        ops::end(&mut rig);
    }

    #[test]
    fn any_bytes_are_operations_that_keep_the_rules(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        ops::run(&bytes);
    }

    /// With a timer that never fires early and a server that never answers, the session wakes up
    /// only when it requested to, and does something each time.
    #[test]
    fn each_wake_up_has_a_reason(seed in any::<u64>(), wakes in 1_usize..40) {
        let mut rig = Rig::live(with(|it| it.reconnect.jitter_seed = seed));
        for _ in 0..wakes {
            let transcript = match rig.wait {
                Some(wait) => rig.after(wait),
                None => rig.on(Input::Opened),
            };
            prop_assert!(!transcript.is_empty());
        }
    }
}

/// Replays the inputs that led the fuzzer to new code.
#[test]
fn the_corpus_keeps_the_rules() {
    fuzz_checks::corpus::replay("session", ops::run);
}

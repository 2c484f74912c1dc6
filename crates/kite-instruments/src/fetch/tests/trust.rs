//! Lists that have lost most of their rows.

use super::*;

/// Returns a list of this many instruments.
fn rows(count: u32) -> Vec<u8> {
    let row = |token| format!("{},1,S{token},,0,,0,0.05,1,EQ,NSE,NSE\n", 256 + token);
    (HEADER.to_owned() + &(0..count).map(row).collect::<String>()).into_bytes()
}

fn counts(fetched: &Fetched) -> (usize, usize, Date, Duration) {
    let Origin::Incomplete { day, kept_len, sent_len, retry_in, path } = &fetched.origin else {
        panic!("{fetched:?}")
    };
    assert!(path.exists() && fetched.not_kept.is_none());
    assert_eq!(fetched.loaded.instruments.len(), *kept_len);
    (*kept_len, *sent_len, *day, *retry_in)
}

#[test]
fn a_list_without_most_of_its_rows_is_not_used_and_is_fetched_again_after_15_minutes() {
    let (server, folder) = (Server::start(ok(&rows(10))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.on(day(22)).unwrap();
    server.answer(ok(&rows(4)));
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    let at = |minutes: u32| source.at(day(23), now + minutes * minute).unwrap();
    assert_eq!(counts(&at(0)), (10, 4, day(22), 15 * minute));
    // Other calls and processes do not fetch it in the meantime.
    let (kept, sent, _, retry_in) = counts(&at(14));
    assert_eq!((kept, sent, server.count()), (10, 4, 2));
    assert!(retry_in <= minute && !retry_in.is_zero(), "{retry_in:?}");
    assert_eq!((counts(&at(16)).3, server.count()), (15 * minute, 3));
    assert_eq!(source.kept_days(), [day(22)]);
    // The clock was set back: the note says nothing.
    source.at(day(23), now - 60 * minute).unwrap();
    assert_eq!(server.count(), 4);

    server.answer(ok(&rows(5)));
    let fetched = at(32);
    assert!(matches!(fetched.origin, Origin::Fetched), "{fetched:?}");
    assert_eq!(source.kept_days(), [day(22), day(23)]);
    assert_eq!(names(folder.path()).len(), 2, "the note is removed");
}

#[test]
fn a_list_without_most_of_its_rows_is_used_if_it_is_accepted() {
    let (server, folder) = (Server::start(ok(&rows(10))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.today().unwrap();
    server.answer(ok(&rows(1)));
    // A refresh alone accepts nothing, and today's list stays.
    let (kept, sent, ..) = counts(&source.refresh().unwrap());
    assert_eq!((kept, sent), (10, 1));
    assert!(matches!(source.today().unwrap().origin, Origin::Kept { .. }));
    let fetched = source.clone().accept_fewer(true).refresh().unwrap();
    assert!(matches!(fetched.origin, Origin::Fetched), "{fetched:?}");
    assert_eq!(source.today().unwrap().loaded.instruments.len(), 1);
    assert!(matches!(source.refresh().unwrap().origin, Origin::Fetched), "compared with it");
}

#[test]
fn a_damaged_note_about_a_list_is_ignored() {
    let (server, folder) = (Server::start(ok(&rows(10))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.on(day(22)).unwrap();
    let note = Cache::new(folder.path().to_owned(), &server.url()).other("incomplete");
    for text in ["", "now 4", "99999999999999999999 4", "18446744073709551615 4", "\0"] {
        std::fs::write(&note, text).unwrap();
        assert!(matches!(source.on(day(23)).unwrap().origin, Origin::Fetched), "{text:?}");
        std::fs::remove_file(Cache::new(folder.path().to_owned(), &server.url()).path(day(23)))
            .unwrap();
    }
}

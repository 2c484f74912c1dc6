//! Charts of made-up days, as characters and as shapes.

use kite_candles::{Every, Flags, Sessions};
use kite_wire::ist::Day;
use proptest::prelude::*;

use super::cells::Cells;
use super::picture::{HEIGHT, LETTER, LINE, Paint, Shape, WIDTH};
use super::plot::{Look, Plot};
use super::{Candle, Chart, heading, picture, png, svg};
use crate::watch::chart::Glyphs;

const INFY: u32 = 408_065;
const NIFTY: u32 = 256_265;
const COLORS: Look = Look { glyphs: Glyphs::Unicode, color: true };

/// Returns the time on Monday 23 November 2026, or a day after it, in India.
pub(super) fn at(day: i64, hour: i64, minute: i64) -> u32 {
    let monday = Day::from_date(2026, 11, 23).unwrap().start_unix_s();
    u32::try_from(monday + day * 86_400 + hour * 3_600 + minute * 60).unwrap()
}

/// Returns candles of a day from 09:15 on, of a price that moves in a way that repeats.
pub(super) fn session(day: i64, every_s: u32, count: u32) -> Vec<Candle> {
    let mut random = 12_345_u64 + day as u64;
    let mut step = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as i32
    };
    let mut price = 157_370;
    let candle = |at| {
        let (open, close) = (price, price + (step() % 301) - 150);
        price = close;
        let high = open.max(close) + step() % 100;
        let low = open.min(close) - step() % 100;
        let volume = Some(u64::from(step().unsigned_abs() % 90_000 + 1_000));
        Candle {
            start: at,
            open,
            high,
            low,
            close,
            volume,
            flags: Flags::default(),
            is_traded: true,
            is_missed: false,
        }
    };
    (0..count).map(|place| at(day, 9, 15) + place * every_s).map(candle).collect()
}

fn drawn(token: u32, every: &str, candles: &[Candle], size: (usize, usize), look: Look) -> Plot {
    let (every, sessions) = (every.parse().unwrap(), Sessions::default());
    let chart = Chart { token, every, sessions: &sessions, candles };
    Plot::draw(&chart, size.0, size.1, look)
}

fn lines(plot: &Plot) -> Vec<String> {
    let text = |line| Cells::texts(line).into_iter().map(|(text, _)| text).collect::<String>();
    plot.cells.lines().map(text).collect()
}

fn shapes(token: u32, every: &str, candles: &[Candle]) -> Vec<Shape> {
    let (every, sessions) = (every.parse().unwrap(), Sessions::default());
    picture::draw(&Chart { token, every, sessions: &sessions, candles }, "NSE:INFY")
}

/// Two days, of which the second starts late and has a gap.
fn two_days() -> Vec<Candle> {
    let mut candles = [session(0, 1_800, 13), session(1, 1_800, 13)].concat();
    candles[13].flags = Flags::PARTIAL_START;
    for candle in &mut candles[17..20] {
        (candle.is_traded, candle.is_missed) = (false, true);
    }
    candles[20].is_missed = true;
    candles
}

#[test]
fn two_days_with_a_gap_in_a_terminal() {
    let plot = drawn(INFY, "30m", &two_days(), (40, 14), COLORS);
    let expected = [
        "        │            ╷┊    ░░░░   │",
        "        │       ╷│   ╽┊    ░░░░ │┃┃│",
        "        │      │╽╽  │┃┊    ░░░░ ┃╿╹┃",
        "        │     ╷┃╹┃╷┃╿╿┊    ░░░░╽┃",
        "1,575.00┤╽╻  ╻╽┃ ╿┃┃╵╵┊    ░░░╷┃╵",
        "        │┃┃╷╷┃│╵  │╵  ┊╽  ╷░░░╿╿",
        "        ││┃┃╹╿        ┊┃ │╽░░░░",
        "        │ ╵  ╵        ┊┃╻┃╹░░░░",
        "        │             ┊ ╿╿ ░░░░",
        "   83.8K┤  █  ▁  █  ▅ ┊▁ ▅▄░░░░▃▅ █▃",
        "        │▇▁█▄▇██▂█▆▃█▁┊█▁██░░░▇██▆██",
        "                       p",
        "         09:15   13:15 09:15   13:15",
        "         23 Nov        24 Nov",
    ];
    assert_eq!(lines(&plot), expected);
    let legend: Vec<_> = plot.legend.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(legend, ["┃ rose", "┃ fell", "░ no feed", "p partial start"]);
}

#[test]
fn without_colours_candles_that_rose_are_hollow() {
    let look = Look { color: false, ..COLORS };
    let plot = drawn(INFY, "30m", &two_days(), (40, 14), look);
    assert_eq!(lines(&plot)[3], "        │     ╷║║┃╷║║║┊    ░░░░║║");
    assert_eq!(plot.legend[0].0, "║ rose");
    let plot = drawn(INFY, "30m", &two_days(), (40, 14), Look { glyphs: Glyphs::Ascii, ..look });
    assert_eq!(lines(&plot)[3], "        |     |OO#|OOO     ::::OO");
    assert_eq!(lines(&plot)[9], "   83.8K+  #  #  #  #  # ##::::## ##");
}

#[test]
fn an_index_has_no_volumes() {
    let mut candles = session(0, 300, 20);
    candles.iter_mut().for_each(|candle| candle.volume = None);
    let lines = lines(&drawn(NIFTY, "5m", &candles, (40, 12), COLORS));
    assert_eq!(lines[10], "        │ │  │");
    assert_eq!(lines[11], "         09:15    10:00");
}

#[test]
fn bars_that_do_not_fit_are_drawn_several_to_a_column() {
    let day = session(0, 60, 375);
    assert_eq!(drawn(INFY, "1m", &day, (400, 40), COLORS).secs, 60);
    let plot = drawn(INFY, "1m", &day, (80, 22), COLORS);
    assert_eq!(plot.secs, 600);
    assert_eq!(lines(&plot)[21], "         09:15       11:15       13:15       15:15");
    let week: Vec<_> = (0..5).flat_map(|day| session(day, 60, 375)).collect();
    assert_eq!(drawn(INFY, "1m", &week, (80, 22), COLORS).secs, 1_800);
    let (sessions, every) = (Sessions::default(), Every::MINUTE);
    let chart = Chart { token: INFY, every, sessions: &sessions, candles: &week };
    let times = heading::times(&chart, 1_800, 0, 80);
    assert_eq!(times, "1m  2026-11-23 to 2026-11-27  drawn as 30m");
    let prices = heading::prices(&chart, 80).unwrap();
    let whole = "open 1,573.70  high 1,589.33  low 1,551.54  close 1,564.48  -0.59%  volume 88.1M";
    assert_eq!(prices, whole);
    assert_eq!(heading::prices(&chart, 30).unwrap(), "open 1,573.70  high 1,589.33");
}

#[test]
fn days_that_do_not_fit_are_left_out_the_oldest_first() {
    let days: Vec<_> = (0..40).flat_map(|day| session(day, 60, 1)).collect();
    let plot = drawn(INFY, "1d", &days, (40, 8), COLORS);
    assert_eq!((plot.secs, plot.left_out_days), (86_400, 9));
    assert_eq!(lines(&plot)[7], "         2 Dec 8 Dec 14 Dec 21 Dec");
}

#[test]
fn prices_have_the_decimals_of_their_segment() {
    let mut candles = session(0, 300, 20);
    for candle in &mut candles {
        let scaled = |price: i32| 865_000_000 + (price - 157_370) * 100;
        (candle.open, candle.close) = (scaled(candle.open), scaled(candle.close));
        (candle.low, candle.high) = (scaled(candle.low), scaled(candle.high));
    }
    let usd_inr = 771;
    let lines = lines(&drawn(usd_inr, "5m", &candles, (40, 12), COLORS));
    assert!(lines.iter().any(|line| line.starts_with("86.5020┤")), "{lines:#?}");
}

#[test]
fn a_picture_is_written_as_svg_and_as_png() {
    let shapes = shapes(INFY, "30m", &two_days());
    let svg = svg::document(&shapes);
    for text in ["NSE:INFY  30m  2026-11-23 to 2026-11-24", "p partial start", "no feed", "13:15"] {
        assert!(svg.contains(&format!(">{text}</text>")), "{text}");
    }
    let is_missed = |shape: &&Shape| matches!(shape, Shape::Rect { paint: Paint::Missed, .. });
    // Four bars of the gap, and the legend.
    assert_eq!(shapes.iter().filter(is_missed).count(), 5);
    let file = png::file(&shapes).unwrap();
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width as usize, info.height as usize), (WIDTH, HEIGHT));
    let has = |paint: Paint| pixels.chunks(3).any(|pixel| pixel == paint.rgb());
    let paints = [Paint::Up, Paint::Down, Paint::Missed, Paint::Mark, Paint::Break, Paint::Grid];
    assert!(paints.into_iter().all(has));
}

proptest! {
    #[test]
    fn any_bars_are_drawn_inside_any_size(
        candles in proptest::collection::vec(
            (any::<u32>(), any::<[i32; 4]>(), any::<Option<u64>>(), 0_u8..8), 0..60),
        within in prop_oneof![Just(86_400_u32), Just(400_000), Just(u32::MAX)],
        secs in prop_oneof![Just(1_u32), Just(7), Just(60), Just(3_600), Just(86_400)],
        (width, height) in (0_usize..250, 0_usize..60),
        (ascii, color) in any::<(bool, bool)>(),
        token in prop_oneof![Just(INFY), Just(NIFTY), Just(771), any::<u32>()],
    ) {
        let candles: Vec<Candle> = candles
            .into_iter()
            .map(|(start, [open, high, low, close], volume, bits)| Candle {
                start: at(0, 0, 0).wrapping_add(start % within),
                open,
                high,
                low,
                close,
                volume,
                flags: if bits & 1 > 0 { Flags::LATE } else { Flags::default() },
                is_traded: bits & 6 > 0,
                is_missed: bits & 4 > 0,
            })
            .collect();
        let (every, sessions) = (Every::from_secs(secs).unwrap(), Sessions::default());
        let chart = Chart { token, every, sessions: &sessions, candles: &candles };
        let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Unicode };
        let plot = Plot::draw(&chart, width, height, Look { glyphs, color });
        prop_assert_eq!(plot.cells.lines().map(<[_]>::len).sum::<usize>(), width * height);
        let is_ascii = plot.cells.lines().flatten().all(|cell| cell.symbol.is_ascii());
        prop_assert!(is_ascii || !ascii);
        heading::times(&chart, plot.secs, plot.left_out_days, width);
        for shape in picture::draw(&chart, "NSE:INFY") {
            let (right, bottom) = match &shape {
                Shape::Rect { x, y, width, height, .. } => (x + width, y + height),
                Shape::Text { x, y, text, .. } => (x + text.len() * LETTER, y + LINE),
            };
            prop_assert!(right <= WIDTH && bottom <= HEIGHT, "{shape:?}");
        }
    }
}

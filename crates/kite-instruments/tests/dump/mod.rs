//! A synthetic list with the content, size and notation of Kite's full list.

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Days of expiry: weekly ones, then monthly.
const EXPIRIES: [(u8, u8); 8] =
    [(11, 26), (12, 1), (12, 8), (12, 15), (12, 22), (12, 29), (1, 26), (2, 23)];

/// Writes rows; the token of each is its exchange token combined with the feed's segment.
struct Writer {
    csv: String,
    rows: usize,
    next_token: u32,
}

impl Writer {
    fn row(&mut self, symbol: &str, name: &str, rest: &str, wire_segment: u32) {
        let exchange_token = self.next_token;
        self.next_token += 1;
        self.rows += 1;
        let token = exchange_token << 8 | wire_segment;
        self.csv += &format!("{token},{exchange_token},{symbol},{name},{rest}\n");
    }

    /// Futures, calls and puts of one underlying.
    fn chain(&mut self, name: &str, strikes: &[f64], lot: u32, place: Place, most_rows: usize) {
        let Place { exchange, tick, wire_segment, expiries } = place;
        for &(month, day) in &EXPIRIES[..expiries] {
            if self.rows >= most_rows {
                return;
            }
            let year = if month >= 11 { 26 } else { 27 };
            let at = format!("{year}{}{day:02}", MONTHS[usize::from(month) - 1]);
            let expiry = format!("20{year}-{month:02}-{day:02}");
            let future = format!("0,{expiry},0,{tick},{lot},FUT,{exchange}-FUT,{exchange}");
            self.row(&format!("{name}{at}FUT"), &format!("\"{name}\""), &future, wire_segment);
            for strike in strikes {
                for kind in ["CE", "PE"] {
                    if self.rows >= most_rows {
                        return;
                    }
                    let rest = format!(
                        "0,{expiry},{strike},{tick},{lot},{kind},{exchange}-OPT,{exchange}"
                    );
                    let symbol = format!("{name}{at}{strike}{kind}");
                    self.row(&symbol, &format!("\"{name}\""), &rest, wire_segment);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Place {
    exchange: &'static str,
    tick: &'static str,
    wire_segment: u32,
    expiries: usize,
}

/// Creates a list with this number of rows, the same each time.
pub(crate) fn dump(rows: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut writer = Writer { csv: HEADER.to_owned(), rows: 0, next_token: 256 };
    let mut letters = |count: usize| -> String {
        (0..count).map(|_| char::from(random.u8(b'A'..=b'Z'))).collect()
    };
    for index in ["NIFTY 50", "NIFTY BANK", "INDIA VIX"] {
        writer.row(index, index, "0,,0,0,0,EQ,INDICES,NSE", 9);
    }
    // About a fifth of the list is shares, funds and bonds.
    for number in 0..rows / 5 {
        let symbol = format!("{}{number}", letters(4 + number % 6));
        let company = format!("{} {} LIMITED", letters(7), letters(5));
        let name = if number % 50 == 0 { format!("\"{company}, INDIA\"") } else { company };
        let (exchange, wire_segment) = if number % 5 < 2 { ("NSE", 1) } else { ("BSE", 4) };
        let rest = format!("0,,0,0.05,1,EQ,{exchange},{exchange}");
        writer.row(&symbol, &name, &rest, wire_segment);
    }
    let steps = |from: f64, step: f64, count: u32| -> Vec<f64> {
        (0..count).map(|at| from + step * f64::from(at)).collect()
    };
    let nfo = Place { exchange: "NFO", tick: "0.05", wire_segment: 2, expiries: 8 };
    let bfo = Place { exchange: "BFO", wire_segment: 5, ..nfo };
    let cds = Place { exchange: "CDS", tick: "0.0025", wire_segment: 3, expiries: 8 };
    let mcx = Place { exchange: "MCX", tick: "1", wire_segment: 7, expiries: 3 };
    for (name, from, step, count, lot, place) in [
        ("NIFTY", 20_000.0, 50.0, 200, 75, nfo),
        ("BANKNIFTY", 45_000.0, 100.0, 200, 35, nfo),
        ("SENSEX", 70_000.0, 100.0, 250, 20, bfo),
        ("USDINR", 80.0, 0.25, 60, 1, cds),
        ("EURINR", 90.0, 0.25, 60, 1, cds),
        ("GOLD", 90_000.0, 500.0, 80, 1, mcx),
        ("CRUDEOIL", 4_000.0, 50.0, 80, 100, mcx),
    ] {
        writer.chain(name, &steps(from, step, count), lot, place, rows);
    }
    while writer.rows < rows {
        let name = letters(8);
        let monthly = Place { expiries: 3, ..nfo };
        writer.chain(&name, &steps(1_000.0, 12.5, 40), 500, monthly, rows);
    }
    writer.csv
}

//! Fields, variants, numbers and defaults.

use std::time::{Duration, Instant};

use kiteticker_async_manager::kite_wire::order::IstDateTime;
use kiteticker_async_manager::manager::{ConnectionStats, ProcessorStats};
use kiteticker_async_manager::{
    ChannelId, Depth, DepthItem, DepthItemRaw, DepthRaw, Exchange, HealthSummary, INDEX_QUOTE_SIZE,
    INST_HEADER_SIZE, IndexQuoteRaw32, InstHeaderRaw64, KiteManagerConfig, ManagerStats, Mode,
    OHLC, Order, OrderStatus, OrderTransactionType, OrderValidity, Request, TICK_FULL_SIZE,
    TextMessage, Tick, TickBatch, TickHeaderRaw, TickMessage, TickRaw, TickerMessage,
    as_index_quote_32, as_inst_header_64, as_tick_raw, tick_as_184,
};
use serde_json::{Value, json};
use zerocopy::byteorder::big_endian::{I32, U16, U32};

#[test]
fn the_configuration_has_exactly_the_published_fields_and_defaults() {
    let config = KiteManagerConfig {
        max_symbols_per_connection: 3000_usize,
        max_connections: 3_usize,
        connection_buffer_size: 5000_usize,
        parser_buffer_size: 10000_usize,
        connection_timeout: Duration::from_secs(30),
        health_check_interval: Duration::from_secs(10),
        max_reconnect_attempts: usize::MAX,
        reconnect_delay: Duration::from_secs(2),
        enable_dedicated_parsers: true,
        default_mode: Mode::Quote,
        heartbeat_liveness_threshold: Duration::from_secs(10),
    };
    assert_eq!(KiteManagerConfig::default(), config);
}

#[test]
fn channel_ids_modes_and_exchanges_keep_their_numbers() {
    let number = |id: ChannelId| match id {
        ChannelId::Connection1 => 0_usize,
        ChannelId::Connection2 => 1,
        ChannelId::Connection3 => 2,
    };
    signatures! {
        fn(usize) -> Option<ChannelId> = ChannelId::from_index;
        fn(ChannelId) -> usize = ChannelId::to_index;
        fn() -> Vec<ChannelId> = ChannelId::all;
        fn(&Mode) -> &'static str = Mode::to_websocket_string;
    }
    assert_eq!(ChannelId::all().len(), 3);
    for (index, id) in ChannelId::all().into_iter().enumerate() {
        assert_eq!((number(id), id as usize, id.to_index()), (index, index, index));
        assert_eq!(ChannelId::from_index(index), Some(id));
    }
    assert_eq!(ChannelId::from_index(3), None);

    let number = |mode: Mode| match mode {
        Mode::LTP => (1_usize, "ltp"),
        Mode::Quote => (2, "quote"),
        Mode::Full => (3, "full"),
    };
    for mode in [Mode::LTP, Mode::Quote, Mode::Full] {
        assert_eq!((mode as usize, mode.to_websocket_string()), number(mode));
    }

    let number = |exchange: Exchange| match exchange {
        Exchange::NSE => 1_usize,
        Exchange::NFO => 2,
        Exchange::CDS => 3,
        Exchange::BSE => 4,
        Exchange::BFO => 5,
        Exchange::BCD => 6,
        Exchange::MCX => 7,
        Exchange::MCXSX => 8,
        Exchange::INDICES => 9,
        Exchange::NCO => 12,
        Exchange::Unknown => 0,
    };
    let names =
        ["NSE", "NFO", "CDS", "BSE", "BFO", "BCD", "MCX", "MCXSX", "INDICES", "NCO", "Unknown"];
    for exchange in names.map(Exchange::from_name) {
        assert_eq!(exchange as usize, number(exchange));
    }
}

#[test]
fn statistics_have_the_published_fields() {
    let connection = ConnectionStats {
        connection_id: 0_usize,
        is_connected: true,
        symbol_count: 0_usize,
        messages_received: 0_u64,
        messages_parsed: 0_u64,
        errors_count: 0_u64,
        last_message_time: None::<Instant>,
        average_latency: Duration::ZERO,
        connection_uptime: Duration::ZERO,
    };
    let manager = ManagerStats {
        total_symbols: 0_usize,
        active_connections: 0_usize,
        total_messages_received: 0_u64,
        total_messages_parsed: 0_u64,
        total_errors: 0_u64,
        uptime: Duration::ZERO,
        connection_stats: vec![connection],
    };
    assert!(manager.connection_stats[0].is_connected);
    let processor = ProcessorStats {
        messages_processed: 0_u64,
        messages_per_second: 0.0_f64,
        processing_latency_avg: Duration::ZERO,
        last_processed_time: None::<Instant>,
        queue_size: 0_usize,
        errors_count: 0_u64,
    };
    assert_eq!(format!("{processor:?}"), format!("{:?}", ProcessorStats::default()));
}

#[test]
fn the_health_summary_is_derived_from_its_counts() {
    signatures! {
        fn(&HealthSummary) -> bool = HealthSummary::is_healthy;
        fn(&HealthSummary) -> bool = HealthSummary::is_degraded;
        fn(&HealthSummary) -> bool = HealthSummary::is_critical;
        fn(&HealthSummary) -> f64 = HealthSummary::health_percentage;
    }
    for (healthy, unhealthy, verdict, percentage) in [
        (3_usize, vec![], (true, false, false), 100.0),
        (1, vec![0_usize, 2, 1], (false, true, false), 25.0),
        (0, vec![0], (false, false, true), 0.0),
        (0, vec![], (false, false, true), 0.0),
    ] {
        let health = HealthSummary {
            healthy_connections: healthy,
            unhealthy_connections: unhealthy,
            total_symbols: 0_usize,
            total_messages: 0_u64,
            total_errors: 0_u64,
            active_message_flows: 0_usize,
            uptime: Duration::ZERO,
        };
        let judged = (health.is_healthy(), health.is_degraded(), health.is_critical());
        assert_eq!((judged, health.health_percentage()), (verdict, percentage), "{health:?}");
    }
}

#[test]
fn messages_have_exactly_the_published_variants() {
    let kind = |message: TickerMessage| match message {
        TickerMessage::Ticks(ticks) => size_of_val::<TickBatch>(&ticks),
        TickerMessage::Raw(frame) => Vec::<u8>::len(&frame),
        TickerMessage::Error(text) => String::len(&text),
        TickerMessage::OrderPostback(order) => {
            let order: Result<Box<Order>, String> = order;
            usize::from(order.is_ok())
        }
        TickerMessage::Message(value) => usize::from(Value::is_null(&value)),
        TickerMessage::ClosingMessage(value) => usize::from(Value::is_null(&value)),
    };
    assert_eq!(kind(TickerMessage::Raw(vec![1, 2])), 2);
    signatures! {
        fn(&TickBatch) -> usize = TickBatch::len;
        fn(&TickBatch) -> bool = TickBatch::is_empty;
        fn(&TickBatch) -> Option<TickMessage> = TickBatch::first;
        fn(&TickBatch) -> Option<TickMessage> = TickBatch::last;
        fn(&TickBatch, usize) -> Option<TickMessage> = TickBatch::get;
        fn(&TickBatch) -> Vec<TickMessage> = TickBatch::to_vec;
    }
    let message = TextMessage { message_type: String::from("order"), data: Value::Null };
    assert_eq!(serde_json::to_value(message).unwrap(), json!({"type": "order", "data": null}));
}

#[test]
fn a_tick_has_exactly_the_published_fields() {
    let item = DepthItem { qty: 1_u32, price: 1.5_f64, orders: 2_u16 };
    let content = Tick {
        mode: Mode::Full,
        instrument_token: 408_065_u32,
        exchange: Exchange::NSE,
        is_tradable: true,
        is_index: false,
        last_traded_qty: Some(1_u32),
        avg_traded_price: Some(1.5_f64),
        last_price: Some(1.5_f64),
        volume_traded: Some(1_u32),
        total_buy_qty: Some(1_u32),
        total_sell_qty: Some(1_u32),
        ohlc: Some(OHLC { open: 1.0_f64, high: 2.0_f64, low: 0.5_f64, close: 1.0_f64 }),
        last_traded_timestamp: Some(Duration::from_secs(1)),
        oi: Some(1_u32),
        oi_day_high: Some(1_u32),
        oi_day_low: Some(1_u32),
        exchange_timestamp: Some(Duration::from_secs(1)),
        net_change: Some(0.5_f64),
        depth: Some(Depth { buy: [item; 5], sell: [item; 5] }),
    };
    let message = TickMessage { instrument_token: 408_065_u32, content };
    assert_eq!(TickMessage::from(message.content.clone()), message);
}

#[test]
fn an_order_has_the_published_fields() {
    let order: Order = serde_json::from_value(json!({"meta": {"leg": 1}})).unwrap();
    let texts: [&String; 7] = [
        &order.order_id,
        &order.placed_by,
        &order.tradingsymbol,
        &order.order_type,
        &order.variety,
        &order.user_id,
        &order.checksum,
    ];
    let optional: [&Option<String>; 6] = [
        &order.exchange_order_id,
        &order.parent_order_id,
        &order.status_message,
        &order.status_message_raw,
        &order.product,
        &order.tag,
    ];
    let counts: [u64; 6] = [
        order.app_id,
        order.quantity,
        order.filled_quantity,
        order.unfilled_quantity,
        order.pending_quantity,
        order.cancelled_quantity,
    ];
    let amounts: [f64; 4] =
        [order.average_price, order.disclosed_quantity, order.price, order.trigger_price];
    let times: [Option<IstDateTime>; 3] =
        [order.order_timestamp, order.exchange_timestamp, order.exchange_update_timestamp];
    let (token, exchange, meta): (u32, Exchange, &Value) =
        (order.instrument_token, order.exchange, &order.meta);
    assert!(texts.iter().all(|text| text.is_empty()) && optional.iter().all(|one| one.is_none()));
    assert_eq!((counts, amounts, times), ([0; 6], [0.0; 4], [None; 3]));
    assert_eq!((token, exchange, meta), (0, Exchange::Unknown, &json!({"leg": 1})));

    let word = |status: &OrderStatus, side: &OrderTransactionType, validity: &OrderValidity| {
        let status = match status {
            OrderStatus::COMPLETE
            | OrderStatus::REJECTED
            | OrderStatus::CANCELLED
            | OrderStatus::UPDATE
            | OrderStatus::OPEN => None,
            OrderStatus::Other(word) => Some(word.clone()),
        };
        let side = match side {
            OrderTransactionType::Buy | OrderTransactionType::Sell => None,
            OrderTransactionType::Other(word) => Some(word.clone()),
        };
        let validity = match validity {
            OrderValidity::DAY | OrderValidity::IOC | OrderValidity::TTL => None,
            OrderValidity::Other(word) => Some(word.clone()),
        };
        [status, side, validity]
    };
    let empty = Some(String::new());
    let words = word(&order.status, &order.transaction_type, &order.validity);
    assert_eq!(words, [empty.clone(), empty.clone(), empty]);
}

#[test]
fn requests_and_raw_views_have_the_published_shape() {
    signatures! {
        fn(&[u32]) -> Request = Request::subscribe;
        fn(&[u32]) -> Request = Request::unsubscribe;
        fn(Mode, &[u32]) -> Request = Request::mode;
        fn(&[u8]) -> Option<&TickRaw> = as_tick_raw;
        fn(&[u8]) -> Option<&IndexQuoteRaw32> = as_index_quote_32;
        fn(&[u8]) -> Option<&InstHeaderRaw64> = as_inst_header_64;
        fn(&[u8]) -> Option<&[u8; 184]> = tick_as_184;
    }
    let sizes: [usize; 3] = [TICK_FULL_SIZE, INDEX_QUOTE_SIZE, INST_HEADER_SIZE];
    assert_eq!(sizes, [184, 32, 64]);

    let TickRaw { header, depth } = TickRaw::default();
    let TickHeaderRaw {
        instrument_token,
        last_price,
        last_traded_qty,
        avg_traded_price,
        volume_traded,
        total_buy_qty,
        total_sell_qty,
        ohlc_be,
        last_traded_ts,
        oi,
        oi_day_high,
        oi_day_low,
        exchange_ts,
    } = header;
    let _: [U32; 9] = [
        instrument_token,
        last_traded_qty,
        volume_traded,
        total_buy_qty,
        total_sell_qty,
        last_traded_ts,
        oi,
        oi_day_high,
        oi_day_low,
    ];
    let _: ([I32; 2], [u8; 16], U32) = ([last_price, avg_traded_price], ohlc_be, exchange_ts);
    let DepthRaw { buy: [DepthItemRaw { qty, price, orders, _pad }, ..], sell } = depth;
    let _: (U32, I32, [U16; 2], [DepthItemRaw; 5]) = (qty, price, [orders, _pad], sell);

    let IndexQuoteRaw32 { token, ltp, high, low, open, close, price_change, exch_ts } =
        IndexQuoteRaw32::default();
    let _: ([U32; 2], [I32; 6]) = ([token, exch_ts], [ltp, high, low, open, close, price_change]);
    let InstHeaderRaw64 {
        instrument_token,
        ltp,
        ltq,
        atp,
        vol,
        tbq,
        tsq,
        open,
        high,
        low,
        close,
        last_traded_ts,
        oi,
        oi_day_high,
        oi_day_low,
        exch_ts,
    } = InstHeaderRaw64::default();
    let _: [U32; 5] = [instrument_token, ltq, vol, tbq, tsq];
    let _: [U32; 5] = [last_traded_ts, oi, oi_day_high, oi_day_low, exch_ts];
    let _: [I32; 6] = [ltp, atp, open, high, low, close];
}

//! An order update arrives once on the unified channel, and on the channel of every connection.

use kiteticker_async_manager::{ApiKeyId, ChannelId, TickerMessage};
use serde_json::json;

use super::{Tagged, manager, quiet_sim, start, up_to_marks};
use crate::rig::{mark, up_to_mark};

fn orders_of<'a>(messages: impl IntoIterator<Item = &'a TickerMessage>) -> Vec<String> {
    let orders = messages.into_iter().filter_map(|message| match message {
        TickerMessage::OrderPostback(Ok(order)) => Some(order.order_id.clone()),
        TickerMessage::OrderPostback(Err(text)) => panic!("{text}"),
        _ => None,
    });
    orders.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_update_arrives_once_per_account_on_the_unified_channel() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).build();
    let mut channel = manager.get_unified_channel();
    start(&mut manager).await;
    let ids: Vec<String> = (0..40).map(|number| format!("order {number}")).collect();
    for id in &ids {
        sim.send_order(json!({"order_id": id}));
    }
    // The same text sent again is another update.
    sim.send_order(json!({"order_id": "order 39"}));
    sim.send_text(r#"{"type":"error","data":"no orders today"}"#);
    mark(&sim);

    let messages: Vec<Tagged> = up_to_marks(&mut channel, 6).await;
    for api in manager.get_api_keys() {
        let its: Vec<&TickerMessage> =
            messages.iter().filter(|(of, _)| *of == api).map(|(_, message)| message).collect();
        let mut expected = ids.clone();
        expected.push("order 39".to_owned());
        assert_eq!(orders_of(its.iter().copied()), expected, "{api}");
        let errors = its.iter().filter(|it| matches!(it, TickerMessage::Error(_))).count();
        assert_eq!(errors, 3, "other text frames arrive from each socket");
        for id in ChannelId::all() {
            let mut channel = manager.get_channel(api.clone(), id).unwrap();
            let messages = up_to_mark(&mut channel).await;
            assert_eq!(orders_of(&messages), expected, "{api} {id:?}");
        }
    }
    let all = messages.iter().filter(|(_, it)| matches!(it, TickerMessage::OrderPostback(_)));
    assert_eq!(all.count(), 2 * 41);
}

#[tokio::test]
async fn an_unreadable_order_update_arrives_once_too() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 1).build();
    let mut channel = manager.get_unified_channel();
    start(&mut manager).await;
    sim.send_text(r#"{"type":"order","data":"soon"}"#);
    mark(&sim);
    let messages = up_to_marks(&mut channel, 3).await;
    let [(api, TickerMessage::OrderPostback(Err(text)))] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(*api, ApiKeyId::from("first"));
    assert!(text.contains("a string"), "{text}");
}

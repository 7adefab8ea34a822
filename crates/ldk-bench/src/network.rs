//! Two nodes, and payments over channels that are chosen.

use std::{error::Error, fmt::Debug};

use bench_report::Result;
use lightning::{
    chain::Watch,
    ln::{
        channel_state::ChannelDetails,
        channelmanager::{MIN_FINAL_CLTV_EXPIRY_DELTA, PaymentId, RecipientOnionFields},
        msgs::BaseMessageHandler,
        types::ChannelId,
    },
    routing::router::{Path, Route, RouteHop},
    sign::InMemorySigner,
    types::features::ChannelFeatures,
};

use crate::small::Small;

/// The seeds of both.
pub(crate) const SEEDS: [[u8; 32]; 2] = [[1; 32], [2; 32]];
/// What is paid: above dust, so that it has an output in each state, also at the fee that LDK reckons
/// with for states to come; below that, it refuses a payment while another one is about to end.
pub(crate) const MSAT: u64 = 3_000_000;

/// LDK's errors are none of the standard library's.
pub(crate) fn failed(error: impl Debug) -> Box<dyn Error + Send + Sync> {
    format!("{error:?}").into()
}

/// The channels of a node.
pub(crate) fn channels<M: Watch<InMemorySigner>>(node: &Small<M>) -> Vec<ChannelId> {
    node.manager.list_usable_channels().iter().map(|channel| channel.channel_id).collect()
}

/// Offers a payment over this channel.
pub(crate) fn pay<M, N>(from: &Small<M>, to: &Small<N>, channel: ChannelId) -> Result<PaymentId>
where
    M: Watch<InMemorySigner>,
    N: Watch<InMemorySigner>,
{
    let all = from.manager.list_usable_channels();
    let channel: &ChannelDetails =
        all.iter().find(|one| one.channel_id == channel).ok_or("a channel cannot be used")?;
    let (hash, secret) =
        to.manager.create_inbound_payment(Some(MSAT), 7200, None).map_err(failed)?;
    let hop = RouteHop {
        pubkey: to.manager.get_our_node_id(),
        node_features: to.manager.provided_node_features(),
        short_channel_id: channel.get_outbound_payment_scid().ok_or("a channel has no number")?,
        channel_features: ChannelFeatures::empty(),
        fee_msat: MSAT,
        cltv_expiry_delta: u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA),
        maybe_announced_channel: false,
    };
    let path = Path { hops: vec![hop], blinded_tail: None };
    let route = Route { paths: vec![path], route_params: None };
    let (onion, id) = (RecipientOnionFields::secret_only(secret), PaymentId(hash.0));
    from.manager.send_payment_with_route(route, hash, onion, id).map_err(failed)?;
    Ok(id)
}

//! What may be ordered.

use super::Api;
use super::directives::Directive;
use super::node_view::Reloaded;
use super::problem::Failure;
use super::view::{Done, Order};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use bgp_core::family::Family;
use bgp_core::session::Stop;
use bgp_core::speaker::{CommandError, Speaker};
use bgp_core::time::Instant;

type Body = Result<Json<Order>, JsonRejection>;

/// `POST /v1/peers/{name}/{order}`.
pub(super) async fn peer(
    State(api): State<Api>,
    Path((name, order)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Done>, Failure> {
    let Json(Order { message, drain: _ }) = body?;
    let carry_out: fn(&mut Speaker, Instant, &str, String) -> Result<String, CommandError> =
        match order.as_str() {
            "reset" => |speaker, now, peer, message| {
                speaker.reset_peer(now, peer, Stop::AdministrativeReset(message))?;
                Ok(format!("{peer}: session ended, a new one begins"))
            },
            "disable" => |speaker, now, peer, message| {
                speaker.disable_peer(now, peer, Stop::AdministrativeShutdown(message))?;
                Ok(format!("{peer}: disabled until it is enabled"))
            },
            "enable" => |speaker, now, peer, _| {
                speaker.enable_peer(now, peer)?;
                Ok(format!("{peer}: enabled"))
            },
            "refresh" => |speaker, now, peer, _| refresh(speaker, now, peer),
            _ => {
                let error = format!("no order is called {order:?}");
                let advice = "there are reset, disable, enable and refresh";
                return Err(Failure::not_found(error, advice));
            }
        };
    tracing::info!(peer = %name, %order, %message, "ordered by an operator");
    let outcome = api
        .ask(move |speaker, now| carry_out(speaker, now, &name, message))
        .await?;
    Ok(Json(Done { done: outcome? }))
}

/// Asks for every family that was negotiated.
fn refresh(speaker: &mut Speaker, now: Instant, peer: &str) -> Result<String, CommandError> {
    let known = speaker.peer(now, peer);
    let negotiated = known.and_then(|view| view.negotiated);
    let families = negotiated.map(|negotiated| negotiated.families);
    let asked: Vec<Family> = families
        .into_iter()
        .flat_map(|set| set.iter().collect::<Vec<_>>())
        .collect();
    if asked.is_empty() {
        // Nothing to ask for: the engine says why.
        speaker.request_refresh(now, peer, Family::Ipv4Unicast)?;
    }
    for family in &asked {
        speaker.request_refresh(now, peer, *family)?;
    }
    let names: Vec<String> = asked.iter().map(ToString::to_string).collect();
    Ok(format!("{peer}: asked for {} again", names.join(", ")))
}

/// `POST /v1/reload`.
pub(super) async fn reload(State(api): State<Api>) -> Result<Json<Reloaded>, Failure> {
    let reloaded = api.superior.order(Directive::Reload).await;
    reloaded.map(Json).map_err(Failure::refused)
}

/// `POST /v1/shutdown`.
pub(super) async fn shutdown(State(api): State<Api>, body: Body) -> Result<Json<Done>, Failure> {
    let Json(Order { drain, message }) = body?;
    if !drain && !message.is_empty() {
        return Err(Failure::bad_request(
            "a message without drain",
            "set drain to tell the peers, or leave the message out",
        ));
    }
    let (stop, done) = if drain {
        let done = "ending; peers are told, and turn to other paths";
        (Stop::AdministrativeShutdown(message), done)
    } else {
        let done = "ending; peers with graceful restart keep our routes for the restart time";
        (Stop::Silent, done)
    };
    tracing::info!(drain, "shutdown ordered by an operator");
    // Full or closed: the process is ending already.
    let _ = api.stop.try_send(stop);
    Ok(Json(Done {
        done: done.to_owned(),
    }))
}

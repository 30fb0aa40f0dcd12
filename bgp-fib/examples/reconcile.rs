//! Keeps one route in the kernel, whatever happens to it, and prints what happens.
//!
//! ```text
//! reconcile PREFIX via GATEWAY [dev DEVICE] [onlink] [for SECONDS]
//! reconcile PREFIX blackhole [for SECONDS]
//! ```
//!
//! Needs `CAP_NET_ADMIN`; to try it without harm: `unshare --user --map-root-user --net`. Delete
//! the route, set its device down, or put another in its place, and watch. The route is taken away
//! when the time is over; a program that is killed leaves its routes, and the next one takes them
//! over.

#![expect(clippy::print_stdout, reason = "a program for people")]

use bgp_core::time::Instant;
use bgp_fib::edge::Sockets;
use bgp_fib::wanted::{Place, Wanted, WantedHop};
use bgp_fib::{Fib, FibEvent, Settings};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

#[cfg_attr(test, expect(dead_code, reason = "tests call `keep`"))]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = read(&words).and_then(|task| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // The sockets belong to the network namespace in which they are opened.
        let sockets = Sockets::open()?;
        runtime.block_on(keep(task, sockets, |event| println!("{event:?}")))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
pub(crate) struct Task {
    place: Place,
    wanted: Wanted,
    time: Option<Duration>,
}

/// Reads the words of the command line.
pub(crate) fn read(words: &[&str]) -> Result<Task, Box<dyn Error>> {
    let usage = "PREFIX (via GATEWAY [dev DEVICE] [onlink] | blackhole) [for SECONDS]";
    let (prefix, mut rest) = words.split_first().ok_or(usage)?;
    let place = Place {
        table: 254,
        prefix: prefix.parse()?,
    };
    let mut hop = None;
    let mut wanted = None;
    let mut time = None;
    loop {
        rest = match (rest, &mut hop) {
            ([], _) => break,
            (["blackhole", rest @ ..], None) => {
                wanted = Some(Wanted::Blackhole);
                rest
            }
            (["via", gateway, rest @ ..], None) => {
                hop = Some(WantedHop {
                    gateway: gateway.parse()?,
                    device: None,
                    onlink: false,
                    weight: 1,
                });
                rest
            }
            (["dev", device, rest @ ..], Some(hop)) => {
                hop.device = Some((*device).into());
                rest
            }
            (["onlink", rest @ ..], Some(hop)) => {
                hop.onlink = true;
                rest
            }
            (["for", seconds, rest @ ..], _) => {
                time = Some(Duration::from_secs(seconds.parse()?));
                rest
            }
            _ => return Err(usage.into()),
        };
    }
    let via = hop.map(|hop| Wanted::Via {
        hops: vec![hop],
        source: None,
    });
    let wanted = via.or(wanted).ok_or(usage)?;
    Ok(Task {
        place,
        wanted,
        time,
    })
}

/// Keeps the route until its time is over, and tells `tell` what happens.
pub(crate) async fn keep(
    task: Task,
    sockets: Sockets,
    mut tell: impl FnMut(&FibEvent),
) -> Result<(), Box<dyn Error>> {
    let Task {
        place,
        wanted,
        time,
    } = task;
    // The reconciler is a value: it has no clock, so we bring one.
    let origin = std::time::Instant::now();
    let clock = move || {
        let micros = u64::try_from(origin.elapsed().as_micros());
        Instant::from_micros(micros.unwrap_or(u64::MAX))
    };
    let mut fib = Fib::new(Settings::default(), clock(), u64::from(std::process::id()));
    fib.set(place, wanted);
    let (handle, mut events) = bgp_fib::spawn(fib, clock, sockets)?;
    let listen = async {
        while let Some(event) = events.next().await {
            tell(&event);
        }
    };
    match time {
        Some(time) => drop(tokio::time::timeout(time, listen).await),
        None => listen.await,
    }
    // Wanting less is done like wanting more; it is so when nothing is left to do.
    handle.ask(move |fib, _| fib.remove(place)).await?;
    while !handle.ask(|fib, _| fib.is_idle()).await? {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    handle.shutdown().await;
    Ok(())
}

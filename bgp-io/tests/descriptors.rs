//! What happens when the process runs out of file descriptors. Alone in its file, because the
//! limit is the process's.

mod common;

use common::{Client, established, in_time, prefix, start_reflector, until_routes};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::time::Duration;
use tokio::net::TcpSocket;

/// Few, so that filling them up is quick.
const LIMIT: u64 = 64;

const LATE: usize = 4;

/// Between two attempts to accept.
const PAUSE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn out_of_descriptors_sessions_live_on_and_accepting_pauses() {
    in_time(async {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, LIMIT, hard).unwrap();
        let (reflector, mut events, remote) = start_reflector();
        let mut peer = Client::established(1, remote).await;
        established(&mut events, 1).await;
        // Sockets that need no further descriptor at our end, and then every other one.
        let sockets: Vec<TcpSocket> = (0..LATE).map(|_| TcpSocket::new_v4().unwrap()).collect();
        let filling: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let mut late = Vec::new();
        for (n, socket) in sockets.into_iter().enumerate() {
            let from = (common::address(2 + n), 0).into();
            socket.bind(from).unwrap();
            late.push(socket.connect(remote).await.unwrap());
        }
        let mut stats = reflector.watch_stats();
        stats
            .wait_for(|stats| stats.accept_pauses > 0)
            .await
            .unwrap();
        // A paused clock moves only when nobody has anything to do: if accepting were tried
        // again and again instead of later, it would stand still.
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let pauses = reflector.stats().accept_pauses + 4;
        stats
            .wait_for(|stats| stats.accept_pauses >= pauses)
            .await
            .unwrap();
        assert!(began.elapsed() >= 3 * PAUSE);
        tokio::time::resume();
        peer.send(Client::update(prefix(1))).await;
        until_routes(&reflector, 1).await;
        assert_eq!(reflector.stats().accepted, 1);

        drop(filling);
        let mut clients = Vec::new();
        for (n, stream) in late.into_iter().enumerate() {
            let mut client = Client::from_stream(2 + n, stream);
            client.establish().await;
            clients.push(client);
        }
        established(&mut events, LATE).await;
    })
    .await;
}

//! Many who connect at once, with and without good intent.

mod common;

use bgp_core::session::Stop;
use bgp_core::wire::Message;
use common::{
    Client, address, any_port, established, in_time, prefix, raise_descriptor_limit, reflector,
    start, start_reflector, until_routes,
};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

#[tokio::test]
async fn a_storm_from_strangers_is_turned_away() {
    const STRANGERS: u64 = 300;
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut peer = Client::established(1, remote).await;
        established(&mut events, 1).await;
        for _ in 0..STRANGERS {
            let mut stranger = TcpStream::connect(remote).await.unwrap();
            // They may be turned away before they have said a word.
            let _ = stranger.write_all(&[0xff; 19]).await;
            drop(stranger);
        }
        let mut stats = reflector.watch_stats();
        stats
            .wait_for(|stats| stats.refused + stats.unserved == STRANGERS)
            .await
            .unwrap();
        assert_eq!(reflector.stats().connections, 1);
        peer.send(Client::update(prefix(1))).await;
        until_routes(&reflector, 1).await;
    })
    .await;
}

/// As many as may be on their way to a session at a time.
const SILENT: usize = 512;

#[tokio::test]
async fn the_silent_make_room_for_those_who_speak() {
    raise_descriptor_limit();
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut stats = reflector.watch_stats();
        let mut silent = Vec::new();
        for n in 0..SILENT {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((address(n), 0).into()).unwrap();
            silent.push(socket.connect(remote).await.unwrap());
        }
        stats
            .wait_for(|stats| stats.opening == SILENT)
            .await
            .unwrap();
        let mut late = Client::connect(SILENT, remote).await;
        stats.wait_for(|stats| stats.waiting == 1).await.unwrap();
        assert_eq!(reflector.stats().evicted, 0);
        // Their patience is over at once, the speaker's not for minutes.
        tokio::time::pause();
        late.establish().await;
        established(&mut events, 1).await;
        assert_eq!(reflector.stats().evicted, 1);
        assert_eq!(reflector.stats().opening, SILENT - 1);
    })
    .await;
}

/// As many as may linger at a time.
const LINGERING: usize = 1024;

const LEAVING: usize = LINGERING + 76;

#[tokio::test]
async fn when_very_many_are_closed_together_each_is_told_why() {
    raise_descriptor_limit();
    in_time(async {
        let mut config = reflector();
        config.dynamic[0].limit = LEAVING;
        let listener = any_port();
        let remote = listener.local_addr();
        let (reflector, mut events) = start(config, vec![listener]);
        let mut clients = Vec::new();
        for n in 0..LEAVING {
            clients.push(Client::established(n, remote).await);
            established(&mut events, 1).await;
        }
        let stats = reflector.watch_stats();
        let stop = Stop::AdministrativeShutdown(String::new());
        let listening = async {
            for client in &mut clients {
                let rest = client.rest().await;
                assert!(
                    matches!(rest.last(), Some(Message::Notification(_))),
                    "{rest:?}"
                );
            }
        };
        // Nobody closes their end, so that all would linger.
        tokio::join!(listening, reflector.shutdown(stop));
        let cut_short = stats.borrow().cut_short;
        assert!(cut_short >= (LEAVING - LINGERING) as u64, "{cut_short}");
    })
    .await;
}

#[tokio::test]
async fn who_does_not_listen_to_last_words_does_not_keep_us() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut client = Client::established(1, remote).await;
        established(&mut events, 1).await;
        // The clock stands still as long as something comes, so only the amount can end it.
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let flood = async { while client.stream.write_all(&[0; 16 * 1024]).await.is_ok() {} };
        let stop = Stop::AdministrativeShutdown(String::new());
        tokio::join!(reflector.shutdown(stop), flood);
        assert!(began.elapsed() < Duration::from_secs(1));
    })
    .await;
}

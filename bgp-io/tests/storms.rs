//! Many who connect at once, with and without good intent.

mod common;

use common::{
    Client, address, established, in_time, prefix, raise_descriptor_limit, start_reflector,
    until_routes,
};
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

//! Engines that talk to each other, in both flavours of runtime.

mod common;

use bgp_core::session::Stop;
use bgp_core::speaker::Event;
use bgp_core::wire::{Cease, Message, Notification, NotificationError};
use bgp_io::Heard;
use common::{
    Client, client, established, in_time, originate, prefix, start, start_reflector, until_routes,
};
use socket2::{Domain, Socket, Type};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

async fn two_exchange_routes() {
    let (reflector, mut events, remote) = start_reflector();
    let (one, mut one_events) = start(client(1, remote), Vec::new());
    let (two, _) = start(client(2, remote), Vec::new());
    originate(&one, [prefix(1)]).await;
    established(&mut events, 2).await;
    originate(&two, [prefix(2)]).await;
    for engine in [&one, &two, &reflector] {
        until_routes(engine, 2).await;
    }
    drop(one);
    until_routes(&two, 1).await;
    until_routes(&reflector, 1).await;
    while one_events.next().await.is_some() {}
}

#[tokio::test]
async fn two_exchange_routes_on_one_thread() {
    in_time(two_exchange_routes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_exchange_routes_on_several_threads() {
    in_time(two_exchange_routes()).await;
}

const CLIENTS: usize = 200;

#[tokio::test]
async fn two_hundred_clients_hold_each_others_routes() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut engines = Vec::new();
        for n in 0..CLIENTS {
            let (engine, _) = start(client(n, remote), Vec::new());
            originate(&engine, [prefix(n)]).await;
            engines.push(engine);
        }
        established(&mut events, CLIENTS).await;
        for engine in &engines {
            until_routes(engine, CLIENTS).await;
        }
        let stats = reflector.stats();
        assert_eq!(stats.accepted, CLIENTS as u64);
        assert_eq!((stats.opening, stats.waiting, stats.stalls), (0, 0, 0));
        drop(engines.pop());
        for engine in &engines {
            until_routes(engine, CLIENTS - 1).await;
        }
    })
    .await;
}

#[tokio::test]
async fn octet_by_octet() {
    in_time(async {
        let (reflector, _, remote) = start_reflector();
        let mut client = Client::connect(1, remote).await;
        let messages = [client.open(), Message::Keepalive, Client::update(prefix(1))];
        for message in messages {
            for octet in client.encode(message) {
                let read = reflector.stats().octets_read;
                client.stream.write_all(&[octet]).await.unwrap();
                let mut stats = reflector.watch_stats();
                stats
                    .wait_for(|stats| stats.octets_read == read + 1)
                    .await
                    .unwrap();
            }
        }
        until_routes(&reflector, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_stop_says_nothing() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut client = Client::established(1, remote).await;
        established(&mut events, 1).await;
        reflector.shutdown(Stop::Silent).await;
        let rest = client.rest().await;
        let notified = |message: &Message| matches!(message, Message::Notification(_));
        assert!(!rest.iter().any(notified), "{rest:?}");
    })
    .await;
}

#[tokio::test]
async fn a_drain_tells_everybody_why() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut clients = Vec::new();
        for n in 0..3 {
            clients.push(Client::established(n, remote).await);
        }
        established(&mut events, 3).await;
        let stop = Stop::AdministrativeShutdown("maintenance".to_owned());
        // Unread octets at our end would turn a careless close into a reset.
        for client in &mut clients {
            client.send(Message::Keepalive).await;
        }
        let listening = async {
            let mut heard = Vec::new();
            for mut client in clients {
                heard.push(client.rest().await);
            }
            heard
        };
        let (heard, ()) = tokio::join!(listening, reflector.shutdown(stop));
        for rest in heard {
            let Some(Message::Notification(Notification { error, data })) = rest.last() else {
                panic!("{rest:?}");
            };
            assert_eq!(
                *error,
                NotificationError::Cease(Cease::AdministrativeShutdown)
            );
            assert_eq!(data[1..], *b"maintenance");
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_the_handle_leaves_nothing_behind() {
    in_time(async {
        let tasks = tokio::runtime::Handle::current().metrics();
        let before = tasks.num_alive_tasks();
        let (reflector, mut events, remote) = start_reflector();
        let asker = reflector.asker();
        let mut client = Client::established(1, remote).await;
        established(&mut events, 1).await;
        assert_eq!(tasks.num_alive_tasks(), before + 1);
        drop(reflector);
        while events.next().await.is_some() {}
        assert_eq!(tasks.num_alive_tasks(), before);
        client.rest().await;
        assert!(asker.ask(|_, _| ()).await.is_err());
        TcpStream::connect(remote).await.unwrap_err();
        bgp_io::Listener::bind(remote).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_nobody_answers_for_is_dialled_again() {
    in_time(async {
        let listener = common::any_port();
        let remote = listener.local_addr();
        drop(listener);
        let (engine, mut events) = start(client(1, remote), Vec::new());
        let mut stats = engine.watch_stats();
        stats
            .wait_for(|stats| stats.dial_failures >= 1)
            .await
            .unwrap();
        tokio::time::pause();
        stats
            .wait_for(|stats| stats.dial_failures >= 2)
            .await
            .unwrap();
        let listener = bgp_io::Listener::bind(remote).unwrap();
        let (_reflector, _) = start(common::reflector(), vec![listener]);
        established(&mut events, 1).await;
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_nobody_answers_is_given_up() {
    in_time(async {
        // A listener that accepts nobody, and whose backlog is full: the kernel drops the SYN.
        let remote = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&remote.into()).unwrap();
        full.listen(0).unwrap();
        let remote = full.local_addr().unwrap().as_socket().unwrap();
        let _in_backlog = TcpStream::connect(remote).await.unwrap();

        let mut config = client(1, remote);
        let settings = Arc::make_mut(&mut config.peers[0].settings);
        settings.connect_retry = Duration::from_secs(60);
        let (engine, _) = start(config, Vec::new());
        let mut stats = engine.watch_stats();
        stats.wait_for(|stats| stats.dialled == 1).await.unwrap();
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        stats
            .wait_for(|stats| stats.dial_failures == 1)
            .await
            .unwrap();
        assert!(began.elapsed() < Duration::from_secs(15));
        assert_eq!(engine.stats().connections, 0);
    })
    .await;
}

#[tokio::test]
async fn a_reader_of_events_that_sleeps_is_told_what_it_missed() {
    in_time(async {
        let (reflector, mut events, remote) = start_reflector();
        let mut stats = reflector.watch_stats();
        let missed = 10;
        for refused in 1..=bgp_io::MAX_EVENTS as u64 + missed {
            let stranger = TcpStream::connect(remote).await.unwrap();
            stats
                .wait_for(|stats| stats.refused == refused)
                .await
                .unwrap();
            drop(stranger);
        }
        assert_eq!(events.next().await, Some(Heard::Missed(missed)));
        let next = events.next().await;
        assert!(
            matches!(next, Some(Heard::Event(Event::Refused { .. }))),
            "{next:?}"
        );
    })
    .await;
}

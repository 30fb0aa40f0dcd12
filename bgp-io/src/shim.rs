//! Temporary.
#![allow(missing_docs, unused, reason = "temporary")]
use bgp_core::session::Stop;
use bgp_core::time::Instant;
use bgp_core::types::*;
use bytes::Bytes;
use std::net::*;
use std::sync::Arc;
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    Connect {
        connection: ConnectionId,
        remote: SocketAddr,
        local: Option<IpAddr>,
    },
    Transmit(ConnectionId),
    Close {
        connection: ConnectionId,
        last: Vec<Bytes>,
    },
    Event(Event),
}
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerName {
    pub id: PeerId,
    pub name: Arc<str>,
    pub address: IpAddr,
}
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Established { peer: PeerName, remote_as: Asn },
    Refused { remote: SocketAddr, why: Refused },
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    UnknownPeer,
}
#[derive(Default)]
pub struct Speaker {
    next: u64,
    out: std::collections::VecDeque<Output>,
    say: std::collections::BTreeMap<ConnectionId, Vec<Bytes>>,
    pub log: Vec<String>,
    pub timer: Option<Instant>,
    stopping: bool,
}
impl Speaker {
    pub fn handle_accepted(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, Refused> {
        self.next += 1;
        let c = ConnectionId(self.next);
        self.say.insert(c, vec![]);
        Ok(c)
    }
    pub fn handle_connected(&mut self, now: Instant, c: ConnectionId, local: SocketAddr) {
        self.log.push("connected".into());
        self.say.insert(c, vec![Bytes::from_static(b"hello")]);
        self.out.push_back(Output::Transmit(c));
    }
    pub fn handle_connect_failed(&mut self, now: Instant, c: ConnectionId) {
        self.log.push("connect failed".into());
    }
    pub fn handle_received(&mut self, now: Instant, c: ConnectionId, bytes: &[u8]) {
        for b in bytes {
            match b {
                b'q' => {
                    self.say.remove(&c);
                    self.out.push_back(Output::Close {
                        connection: c,
                        last: vec![Bytes::from_static(b"bye")],
                    });
                    return;
                }
                b'T' => {
                    let big = Bytes::from(vec![b'x'; 1000]);
                    self.say
                        .get_mut(&c)
                        .unwrap()
                        .extend(std::iter::repeat_n(big, 3000));
                }
                _ => self
                    .say
                    .get_mut(&c)
                    .unwrap()
                    .push(Bytes::copy_from_slice(&[*b])),
            }
        }
        self.out.push_back(Output::Transmit(c));
    }
    pub fn handle_closed(&mut self, now: Instant, c: ConnectionId) {
        self.log.push(format!("closed {c}"));
        self.say.remove(&c);
    }
    pub fn handle_written(&mut self, now: Instant, c: ConnectionId) {}
    pub fn handle_blocked(&mut self, now: Instant, c: ConnectionId) {}
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timer = None;
        self.log.push("timer".into());
    }
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        c: ConnectionId,
        b: usize,
        out: &mut Vec<Bytes>,
    ) -> bool {
        let Some(say) = self.say.get_mut(&c) else {
            return false;
        };
        let mut n = 0;
        let k = say
            .iter()
            .take_while(|x| {
                let go = n < b;
                n += x.len();
                go
            })
            .count();
        out.extend(say.drain(..k));
        !say.is_empty()
    }
    pub fn poll_timeout(&self) -> Option<(Instant, ())> {
        self.timer.map(|t| (t, ()))
    }
    pub fn stop(&mut self, now: Instant, how: &Stop) {
        for (c, _) in std::mem::take(&mut self.say) {
            self.out.push_back(Output::Close {
                connection: c,
                last: vec![Bytes::from_static(b"stop")],
            })
        }
    }
    pub fn connect(&mut self, remote: SocketAddr) {
        self.next += 1;
        self.out.push_back(Output::Connect {
            connection: ConnectionId(self.next),
            remote,
            local: None,
        });
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;
    use tokio::io::*;
    use tokio::net::TcpStream;
    fn go() -> (Handle, Events, SocketAddr) {
        let l = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let a = l.local_addr();
        let (h, e) = crate::spawn(super::Speaker::default(), Clock::start(), vec![l]).unwrap();
        (h, e, a)
    }
    #[tokio::test]
    async fn echo_and_close() {
        let (h, _e, a) = go();
        let mut s = TcpStream::connect(a).await.unwrap();
        s.write_all(b"abc").await.unwrap();
        let mut b = [0; 3];
        s.read_exact(&mut b).await.unwrap();
        assert_eq!(&b, b"abc");
        s.write_all(b"Tq").await.unwrap();
        let mut v = vec![];
        s.read_to_end(&mut v).await.unwrap();
        assert!(v.ends_with(b"bye"), "{}", v.len());
        println!("{} {:?}", v.len(), h.stats());
        drop(s);
        h.watch_stats()
            .wait_for(|s| s.connections == 0)
            .await
            .unwrap();
        println!("{:?}", h.stats());
    }
    #[tokio::test]
    async fn bulk() {
        let (h, _e, a) = go();
        let mut s = TcpStream::connect(a).await.unwrap();
        s.write_all(b"T").await.unwrap();
        h.watch_stats()
            .wait_for(|s| s.octets_held > 0)
            .await
            .unwrap();
        println!("{:?}", h.stats());
        let mut v = vec![0; 3_000_000];
        s.read_exact(&mut v).await.unwrap();
        println!("{:?}", h.stats());
        s.write_all(b"T").await.unwrap();
        h.watch_stats()
            .wait_for(|s| s.octets_held > 0)
            .await
            .unwrap();
        h.shutdown(Stop::Silent).await;
        let mut v = vec![];
        let r = s.read_to_end(&mut v).await;
        println!("{r:?} {}", v.len());
    }
    #[tokio::test]
    async fn dial_and_drop() {
        let (h, _e, a) = go();
        let (h2, _e2, a2) = go();
        h2.ask(move |s, _| s.connect(a)).await.unwrap();
        let mut st = h.watch_stats();
        st.wait_for(|s| s.octets_read > 4).await.unwrap();
        println!("{:?}\n{:?}", h.stats(), h2.stats());
        drop(h2);
        st.wait_for(|s| s.connections == 0).await.unwrap();
        println!("{:?}", h.ask(|s, _| s.log.clone()).await);
        h.ask(move |s, n| {
            s.connect(a2);
            s.timer = Some(n + std::time::Duration::from_millis(20));
        })
        .await
        .unwrap();
        st.wait_for(|s| s.dial_failures == 1).await.unwrap();
        println!("{:?}", h.ask(|s, _| s.log.clone()).await);
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn many() {
        let (h, _e, a) = go();
        let mut js = vec![];
        for i in 0..1000 {
            js.push(tokio::spawn(async move {
                let s = tokio::net::TcpSocket::new_v4().unwrap();
                s.bind(SocketAddr::new(
                    [127, 1, (i / 250) as u8, (i % 250) as u8].into(),
                    0,
                ))
                .unwrap();
                let mut s = s.connect(a).await.unwrap();
                for _ in 0..20 {
                    s.write_all(b"a").await.unwrap();
                    let mut b = [0; 1];
                    s.read_exact(&mut b).await.unwrap();
                }
                s.write_all(b"q").await.unwrap();
                let mut v = vec![];
                s.read_to_end(&mut v).await.unwrap();
                assert_eq!(v, b"bye");
            }));
        }
        for j in js {
            j.await.unwrap();
        }
        println!("{:?}", h.stats());
    }
}

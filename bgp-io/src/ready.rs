//! Which sockets may be worth another try: one list for all of them.
//!
//! Each socket gets wakers of its own. When the runtime finds the socket ready it calls one of
//! them, which puts a [`Token`] on the list and rings the engine's bell. So one task can drive
//! thousands of sockets and look only at those that have something, in the order in which they
//! became ready.
//!
//! **Invariant.** A waker is called at most once per time that it was handed to a socket, and a
//! socket's waker is handed out again only after its token was taken: the list is never longer
//! than two tokens per connection and one per listener.

use bgp_core::types::ConnectionId;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use tokio::sync::Notify;

/// What may be tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// To read from a connection.
    Read(ConnectionId),
    /// To write to a connection, or to see how its attempt to connect ended.
    Write(ConnectionId),
    /// To accept from the listener with this number.
    Accept(usize),
}

/// The list and its bell.
#[derive(Debug, Default)]
pub(crate) struct ReadyList {
    tokens: Mutex<Vec<Token>>,
    bell: Notify,
}

impl ReadyList {
    /// A waker that puts `token` on the list.
    pub(crate) fn waker(self: &Arc<Self>, token: Token) -> Waker {
        Waker::from(Arc::new(TokenWaker {
            token,
            list: Arc::clone(self),
        }))
    }

    /// Exchanges the list for `empty`, whose capacity is used on.
    pub(crate) fn swap(&self, empty: &mut Vec<Token>) {
        // A vector of tokens cannot be left half changed, so poison means nothing here.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *tokens, empty);
    }

    /// Waits until a token has been put on the list since the last time this returned.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn ring(&self, token: Token) {
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(token);
        self.bell.notify_one();
    }
}

struct TokenWaker {
    token: Token,
    list: Arc<ReadyList>,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.ring(self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let list = Arc::new(ReadyList::default());
        let token = Token::Read(ConnectionId(7));
        list.waker(token).wake();
        list.waker(Token::Accept(0)).wake_by_ref();
        list.rung().await;
        let mut tokens = Vec::new();
        list.swap(&mut tokens);
        assert_eq!(tokens, [token, Token::Accept(0)]);
        tokens.clear();
        list.swap(&mut tokens);
        assert!(tokens.is_empty());
    }
}

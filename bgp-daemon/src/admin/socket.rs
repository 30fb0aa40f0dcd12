//! The admin socket: where it is, who may use it, and how many at a time.
//!
//! Daemon and client look in the same places ([`places`]), so that neither needs to be told. The
//! socket is made beside its place and moved there when its mode is set, so that nobody can
//! connect before; what a crashed predecessor left is replaced, what a running one uses is not.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections that are served at a time. One more waits in the kernel until another ends.
pub const MAX_CONNECTIONS: usize = 32;
/// A connection on which nothing moves for so long is closed, so that idle clients cannot keep
/// others out.
pub const IDLE: Duration = Duration::from_secs(30);
/// Owner and group may connect, nobody else.
const MODE: u32 = 0o660;
/// Pause after the system refused a connection for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the socket of `program` is looked for when nobody says where it is, in this order: the
/// system's place, the place of the user's session, and a folder of the user's own.
pub fn places(program: &str) -> Vec<PathBuf> {
    let file = format!("{program}.sock");
    let session = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let own = format!("/tmp/{program}-{}", nix::unistd::geteuid());
    let folders = [
        Some(PathBuf::from("/run")),
        session.map(PathBuf::from),
        Some(own.into()),
    ];
    folders
        .into_iter()
        .flatten()
        .map(|folder| folder.join(&file))
        .collect()
}

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error("{0}: another process answers there; stop it, or name another with --admin-socket")]
    InUse(PathBuf),
    /// Something that is not a socket is there.
    #[error("{0}: exists and is not a socket; name another with --admin-socket")]
    NotASocket(PathBuf),
    /// The system said no.
    #[error("{path}: {error}; name another with --admin-socket")]
    Refused {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// None of the usual places would do.
    #[error("no place for the admin socket: {}", Listed(.0))]
    NoPlace(Vec<Self>),
}

struct Listed<'a>(&'a [SocketError]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{error}")?;
        }
        Ok(())
    }
}

/// A bound admin socket; its file goes when it is dropped, unless a successor has put its own in
/// its place.
#[derive(Debug)]
pub struct AdminSocket {
    listener: std::os::unix::net::UnixListener,
    file: SocketFile,
}

/// The file of a socket of ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl AdminSocket {
    /// Makes the socket of `program`: at `path`, or in the first of the usual [`places`] that
    /// takes it.
    ///
    /// # Errors
    ///
    /// Why `path`, or each of the usual places, does not take it. A place where a running process
    /// answers ends the search.
    pub fn bind(program: &str, path: Option<&Path>) -> Result<Self, SocketError> {
        if let Some(path) = path {
            return bind_at(path);
        }
        let mut refusals = Vec::new();
        for place in places(program) {
            let prepared = prepare_own_folder(&place).map_err(|error| refused(&place, error));
            match prepared.and_then(|()| bind_at(&place)) {
                Ok(socket) => return Ok(socket),
                Err(error @ SocketError::InUse(_)) => return Err(error),
                Err(
                    error @ (SocketError::NotASocket(_)
                    | SocketError::Refused { .. }
                    | SocketError::NoPlace(_)),
                ) => refusals.push(error),
            }
        }
        Err(SocketError::NoPlace(refusals))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Begins to listen in the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// The runtime does not take the socket.
    pub fn listen(self) -> io::Result<(Listener, SocketFile)> {
        self.listener.set_nonblocking(true)?;
        let listener = Listener {
            listener: UnixListener::from_std(self.listener)?,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        };
        Ok((listener, self.file))
    }
}

fn refused(path: &Path, error: io::Error) -> SocketError {
    let path = path.to_owned();
    SocketError::Refused { path, error }
}

/// Makes the folder of a place below `/tmp`, which must be ours alone: who owns the folder could
/// put another socket there.
fn prepare_own_folder(place: &Path) -> io::Result<()> {
    let Some(folder) = place.parent().filter(|folder| folder.starts_with("/tmp")) else {
        return Ok(());
    };
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) | Ok(()) => {}
    }
    is_ours_alone(folder)
}

/// Whether nobody else could have put something into `folder`.
pub(crate) fn is_ours_alone(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    let is_ours = found.uid() == nix::unistd::geteuid().as_raw();
    if found.is_dir() && is_ours && found.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let folder = folder.display();
    Err(io::Error::other(format!(
        "{folder} is not a folder of ours alone"
    )))
}

fn bind_at(path: &Path) -> Result<AdminSocket, SocketError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(SocketError::InUse(path.to_owned()));
        }
        Ok(_) | Err(_) => {}
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    // What a crash between bind and rename left.
    let _ = fs::remove_file(&fresh);
    let bind = || {
        let listener = std::os::unix::net::UnixListener::bind(&fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(MODE))?;
        let inode = fs::symlink_metadata(&fresh)?.ino();
        fs::rename(&fresh, path)?;
        let path = path.to_owned();
        let file = SocketFile { path, inode };
        Ok(AdminSocket { listener, file })
    };
    bind().map_err(|error| refused(path, error))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Accepts at most [`MAX_CONNECTIONS`] at a time.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    connections: Arc<Semaphore>,
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Connection, Self::Addr) {
        let place = loop {
            // The semaphore is never closed.
            if let Ok(place) = Arc::clone(&self.connections).acquire_owned().await {
                break place;
            }
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, place), address),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A client's connection, which ends when nothing has moved on it for [`IDLE`].
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: UnixStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            idle: Box::pin(tokio::time::sleep(IDLE)),
            _place: place,
        }
    }

    /// What moved puts the end off; what did not is given up when the end has come.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return progress;
        }
        match self.idle.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, progress)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(context, octets);
        self.watch(context, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

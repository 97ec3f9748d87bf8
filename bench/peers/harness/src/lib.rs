//! What the peers in Rust share: the client and the server of one measurement.
//! They speak with the coordinator as those in Go do, one JSON value a line, see
//! ../../../process.go.

mod client;
mod usage;

use std::fs::File;
use std::future::Future;
use std::io::{BufRead, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

use serde_json::json;

pub use client::{Round, check};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The deadline of each call: every call has one.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

#[global_allocator]
static ALLOCATOR: usage::Counting = usage::Counting;

/// The files of the certificates that all libraries use.
pub struct Certs {
    pub ca: String,
    pub cert: String,
    pub key: String,
}

impl Certs {
    fn of(dir: &str) -> Certs {
        let file = |name: &str| format!("{dir}/{name}");
        Certs {
            ca: file("ca.pem"),
            cert: file("test_cert.pem"),
            key: file("test_key.pem"),
        }
    }
}

/// A library that is measured. The value is its client.
pub trait Peer: Sized + Send + Sync + 'static {
    /// A connection. Each caller has a clone of it.
    type Conn: Clone + Send + 'static;

    /// Starts a server on a free port of 127.0.0.1, which serves until the process
    /// ends, and returns its address.
    fn serve(certs: &Certs) -> impl Future<Output = Result<String>> + Send;

    /// Returns a client of the server at addr.
    fn client(certs: &Certs, addr: &str) -> Result<Self>;

    fn connect(&self) -> impl Future<Output = Result<Self::Conn>> + Send;

    /// Makes a unary call and returns the answer.
    fn call(conn: &mut Self::Conn, data: &[u8]) -> impl Future<Output = Result<Vec<u8>>> + Send;

    /// Receives a stream of messages of one size for a time, and returns how many
    /// there were.
    fn feed(_: Self::Conn, _size: usize, _: Duration) -> impl Future<Output = Result<u64>> + Send {
        async { Err("there are no streams".into()) }
    }

    /// Sends a message on one stream and waits for its echo, again and again.
    fn talk(
        _: Self::Conn,
        _data: Vec<u8>,
        _: Duration,
    ) -> impl Future<Output = Result<Round>> + Send {
        async { Err("there are no streams".into()) }
    }
}

/// Is the program of a peer, as a client or as a server.
pub fn main<P: Peer>() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| {
        let prefix = format!("-{name}=");
        args.iter()
            .find_map(|a| a.strip_prefix(&prefix))
            .unwrap_or_default()
    };
    let out = answers()?;
    let dir = flag("certs");
    let rt = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match flag("role") {
        "server" => server::<P>(&rt, &Certs::of(dir), out),
        "client" => client::run::<P>(&rt, dir, &Certs::of(dir), out),
        role => Err(format!("-role is {role:?}, want client or server").into()),
    }
}

/// Returns standard output for the answers alone: what else is printed, by a
/// library, goes nowhere.
fn answers() -> Result<File> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    let out = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 3) };
    if out < 0 || unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDOUT_FILENO) } < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(unsafe { File::from_raw_fd(out) })
}

/// Serves until standard input ends, and answers each line with the usage.
fn server<P: Peer>(rt: &tokio::runtime::Runtime, certs: &Certs, mut out: File) -> Result<()> {
    let addr = rt.block_on(P::serve(certs))?;
    writeln!(out, "{}", json!({"Addr": addr}))?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let u = usage::now();
        let answer = json!({"Usage": {"CPU": u.cpu.as_nanos() as u64, "Mallocs": u.mallocs}});
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

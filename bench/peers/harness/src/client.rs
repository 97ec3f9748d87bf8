//! The client's process: the same measurements as those of ../../../measure.go.

use std::fs::File;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::usage::{self, Usage};
use crate::{Certs, Peer, Result};

/// A job is what the coordinator asks for.
#[derive(Clone)]
struct Job {
    kind: String,
    size: usize,
    callers: usize,
    streams: usize,
    conns: usize,
    every: usize,
    slice: Duration,
}

impl Job {
    fn parse(line: &str) -> Result<Job> {
        let v: Value = serde_json::from_str(line)?;
        let n = |name: &str| {
            v[name]
                .as_u64()
                .ok_or(format!("the job has no number {name}"))
        };
        Ok(Job {
            kind: v["Kind"].as_str().unwrap_or_default().to_string(),
            size: n("Size")? as usize,
            callers: n("Callers")? as usize,
            streams: n("Streams")? as usize,
            conns: n("Conns")?.max(1) as usize,
            every: n("Every")?.max(1) as usize,
            slice: Duration::from_nanos(n("Slice")?),
        })
    }
}

/// The server's process, which is this program in its other role.
struct Server {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Server {
    fn start(dir: &str) -> Result<(Server, String)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["-role=server", &format!("-certs={dir}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child
            .stdin
            .take()
            .ok_or("the server has no standard input")?;
        let from = BufReader::new(
            child
                .stdout
                .take()
                .ok_or("the server has no standard output")?,
        );
        let mut server = Server { child, to, from };
        let addr = server.answer()?["Addr"]
            .as_str()
            .ok_or("the server has no address")?
            .to_string();
        Ok((server, addr))
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The usage of both processes together.
    fn usage(&mut self) -> Result<Usage> {
        writeln!(self.to, "false")?;
        let theirs = &self.answer()?["Usage"];
        let n = |name: &str| {
            theirs[name]
                .as_u64()
                .ok_or(format!("the server's usage has no {name}"))
        };
        let ours = usage::now();
        Ok(Usage {
            cpu: ours.cpu + Duration::from_nanos(n("CPU")?),
            mallocs: ours.mallocs + n("Mallocs")?,
        })
    }

    fn stop(mut self) -> Result<()> {
        drop(self.to);
        self.child.wait()?;
        Ok(())
    }
}

/// What a round of operations gave: how many, and how long some of them took.
#[derive(Default)]
pub struct Round {
    pub ops: u64,
    pub times: Vec<Duration>,
}

/// Answers jobs until standard input ends.
pub fn run<P: Peer>(
    rt: &tokio::runtime::Runtime,
    dir: &str,
    certs: &Certs,
    mut out: File,
) -> Result<()> {
    let (mut server, addr) = Server::start(dir)?;
    let peer = P::client(certs, &addr)?;
    for line in std::io::stdin().lock().lines() {
        let sample = Job::parse(&line?).and_then(|job| measure(rt, &mut server, &peer, &job));
        let answer = match sample {
            Ok(sample) => json!({"Sample": sample}),
            Err(err) => json!({"Error": err.to_string()}),
        };
        writeln!(out, "{answer}")?;
    }
    server.stop()
}

/// Makes one measurement: a round to warm up, and one that counts.
fn measure<P: Peer>(
    rt: &tokio::runtime::Runtime,
    server: &mut Server,
    peer: &P,
    job: &Job,
) -> Result<Value> {
    let conns: Vec<P::Conn> = rt.block_on(async {
        let mut all = Vec::new();
        for _ in 0..job.conns {
            all.push(peer.connect().await?);
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(all)
    })?;
    let round = |d: Duration| -> Result<Round> {
        rt.block_on(async {
            match job.kind.as_str() {
                "unary" => unary::<P>(&conns, job, d).await,
                "feed" => feed::<P>(&conns[0], job, d).await,
                "talk" => P::talk(conns[0].clone(), payload(job.size, 0), d).await,
                "handshake" => handshake(peer, job, d).await,
                kind => Err(format!("no such measurement: {kind:?}").into()),
            }
        })
    };
    round(job.slice / 4)?;
    let before = server.usage()?;
    let start = Instant::now();
    let mut r = round(job.slice)?;
    let elapsed = start.elapsed();
    let after = server.usage()?;
    if r.ops == 0 {
        return Err("nothing was done in the time there was".into());
    }
    r.times.sort();
    let ops = r.ops as f64;
    let micros = |d: Duration| d.as_nanos() as f64 / 1e3;
    let quantile = |q: f64| match r.times.len() {
        0 => 0.0,
        n => micros(r.times[((q * n as f64) as usize).min(n - 1)]),
    };
    Ok(json!({
        "Rate": ops / elapsed.as_secs_f64(),
        "P50": quantile(0.50),
        "P99": quantile(0.99),
        "CPU": micros(after.cpu - before.cpu) / ops,
        "Allocs": (after.mallocs - before.mallocs) as f64 / ops,
    }))
}

fn payload(size: usize, i: usize) -> Vec<u8> {
    (0..size).map(|j| (i + j) as u8).collect()
}

/// Looks at the ends of an echo, as all clients do.
pub fn check(got: &[u8], want: &[u8]) -> Result<()> {
    if got.len() != want.len() || got.first() != want.first() || got.last() != want.last() {
        return Err(format!("wrong echo of {} bytes: got {}", want.len(), got.len()).into());
    }
    Ok(())
}

async fn call<P: Peer>(conn: &mut P::Conn, data: &[u8]) -> Result<()> {
    check(&P::call(conn, data).await?, data)
}

/// Runs tasks, and adds up what they have done.
async fn together<F>(tasks: impl Iterator<Item = F>) -> Result<Round>
where
    F: Future<Output = Result<Round>> + Send + 'static,
{
    let mut set = JoinSet::new();
    for task in tasks {
        set.spawn(task);
    }
    let mut all = Round::default();
    while let Some(done) = set.join_next().await {
        let mut one = done??;
        all.ops += one.ops;
        all.times.append(&mut one.times);
    }
    Ok(all)
}

async fn unary<P: Peer>(conns: &[P::Conn], job: &Job, d: Duration) -> Result<Round> {
    let stop = Arc::new(AtomicBool::new(false));
    let callers = (0..job.callers).map(|i| {
        let (mut conn, stop, every) = (conns[i % conns.len()].clone(), stop.clone(), job.every);
        let data = payload(job.size, i);
        async move {
            let mut r = Round::default();
            while !stop.load(Relaxed) {
                if (r.ops as usize + i) % every == 0 {
                    let begun = Instant::now();
                    call::<P>(&mut conn, &data).await?;
                    r.times.push(begun.elapsed());
                } else {
                    call::<P>(&mut conn, &data).await?;
                }
                r.ops += 1;
            }
            Ok(r)
        }
    });
    let timer = stop.clone();
    let timer = tokio::spawn(async move {
        tokio::time::sleep(d).await;
        timer.store(true, Relaxed);
    });
    let all = together(callers).await;
    timer.abort();
    all
}

async fn feed<P: Peer>(conn: &P::Conn, job: &Job, d: Duration) -> Result<Round> {
    let streams = (0..job.streams).map(|_| {
        let (conn, size) = (conn.clone(), job.size);
        async move {
            let ops = P::feed(conn, size, d).await?;
            Ok(Round {
                ops,
                times: Vec::new(),
            })
        }
    });
    together(streams).await
}

async fn handshake<P: Peer>(peer: &P, job: &Job, d: Duration) -> Result<Round> {
    let data = payload(job.size, 0);
    let mut r = Round::default();
    let start = Instant::now();
    while start.elapsed() < d {
        let begun = Instant::now();
        let mut conn = peer.connect().await?;
        call::<P>(&mut conn, &data).await?;
        drop(conn);
        r.times.push(begun.elapsed());
        r.ops += 1;
    }
    Ok(r)
}

//! The client's process: the same measurements as those of ../../measure.go.

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::pb::echo_client::EchoClient;
use crate::pb::{FeedRequest, Payload};
use crate::usage::{self, Usage};
use crate::{Certs, Result};

/// The deadline of each call: every call has one.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

type Echo = EchoClient<Channel>;

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
struct Round {
    ops: u64,
    times: Vec<Duration>,
}

/// Answers jobs until standard input ends.
pub fn run(rt: &tokio::runtime::Runtime, dir: &str, certs: &Certs) -> Result<()> {
    let (mut server, addr) = Server::start(dir)?;
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&certs.ca))
        .identity(Identity::from_pem(&certs.cert, &certs.key))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{addr}"))?.tls_config(tls)?;
    for line in std::io::stdin().lock().lines() {
        let answer =
            match Job::parse(&line?).and_then(|job| measure(rt, &mut server, &endpoint, &job)) {
                Ok(sample) => json!({"Sample": sample}),
                Err(err) => json!({"Error": err.to_string()}),
            };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    server.stop()
}

/// Makes one measurement: a round to warm up, and one that counts.
fn measure(
    rt: &tokio::runtime::Runtime,
    server: &mut Server,
    endpoint: &Endpoint,
    job: &Job,
) -> Result<Value> {
    let clients: Vec<Echo> = rt.block_on(async {
        let mut all = Vec::new();
        for _ in 0..job.conns {
            all.push(EchoClient::new(endpoint.connect().await?));
        }
        Ok::<_, tonic::transport::Error>(all)
    })?;
    let round = |d: Duration| -> Result<Round> {
        rt.block_on(async {
            match job.kind.as_str() {
                "unary" => unary(&clients, job, d).await,
                "feed" => feed(&clients[0], job, d).await,
                "talk" => talk(&clients[0], job, d).await,
                "handshake" => handshake(endpoint, job, d).await,
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

/// Looks at the ends, as all clients do.
fn check(got: &[u8], want: &[u8]) -> Result<()> {
    if got.len() != want.len() || got.first() != want.first() || got.last() != want.last() {
        return Err(format!("wrong echo of {} bytes: got {}", want.len(), got.len()).into());
    }
    Ok(())
}

fn request<T>(message: T) -> Request<T> {
    let mut r = Request::new(message);
    r.set_timeout(CALL_TIMEOUT);
    r
}

async fn call(client: &mut Echo, data: &[u8]) -> Result<()> {
    let res = client
        .unary(request(Payload {
            data: data.to_vec(),
        }))
        .await?;
    check(&res.into_inner().data, data)
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

async fn unary(clients: &[Echo], job: &Job, d: Duration) -> Result<Round> {
    let stop = Arc::new(AtomicBool::new(false));
    let callers = (0..job.callers).map(|i| {
        let (mut client, stop, every) =
            (clients[i % clients.len()].clone(), stop.clone(), job.every);
        let data = payload(job.size, i);
        async move {
            let mut r = Round::default();
            while !stop.load(Relaxed) {
                if (r.ops as usize + i) % every == 0 {
                    let begun = Instant::now();
                    call(&mut client, &data).await?;
                    r.times.push(begun.elapsed());
                } else {
                    call(&mut client, &data).await?;
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

async fn feed(client: &Echo, job: &Job, d: Duration) -> Result<Round> {
    let streams = (0..job.streams).map(|_| {
        let (mut client, size) = (client.clone(), job.size);
        async move {
            let req = FeedRequest {
                size: size as i64,
                duration_ns: d.as_nanos() as i64,
                interval_ns: 0,
            };
            let mut messages = client.feed(request(req)).await?.into_inner();
            let mut r = Round::default();
            while let Some(m) = messages.message().await? {
                if m.data.len() != size {
                    return Err("a message of a wrong size".into());
                }
                r.ops += 1;
            }
            Ok(r)
        }
    });
    together(streams).await
}

async fn talk(client: &Echo, job: &Job, d: Duration) -> Result<Round> {
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    let data = payload(job.size, 0);
    let mut answers = client.clone().talk(request(requests)).await?.into_inner();
    let mut r = Round::default();
    let start = Instant::now();
    while start.elapsed() < d {
        let begun = Instant::now();
        send.send(Payload { data: data.clone() }).await?;
        let m = answers.message().await?.ok_or("the stream ended")?;
        check(&m.data, &data)?;
        r.times.push(begun.elapsed());
        r.ops += 1;
    }
    Ok(r)
}

async fn handshake(endpoint: &Endpoint, job: &Job, d: Duration) -> Result<Round> {
    let data = payload(job.size, 0);
    let mut r = Round::default();
    let start = Instant::now();
    while start.elapsed() < d {
        let begun = Instant::now();
        let mut client = EchoClient::new(endpoint.connect().await?);
        call(&mut client, &data).await?;
        drop(client);
        r.times.push(begun.elapsed());
        r.ops += 1;
    }
    Ok(r)
}

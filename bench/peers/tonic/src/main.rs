//! tonic as a peer of the comparison, with the code that prost generates.

mod server;

mod pb {
    tonic::include_proto!("bench");
}

use std::fs::read_to_string;
use std::time::{Duration, Instant};

use harness::{CALL_TIMEOUT, Certs, Peer, Result, Round, check};
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use pb::echo_client::EchoClient;
use pb::{FeedRequest, Payload};

struct Tonic(Endpoint);

fn identity(certs: &Certs) -> Result<Identity> {
    Ok(Identity::from_pem(
        read_to_string(&certs.cert)?,
        read_to_string(&certs.key)?,
    ))
}

fn authority(certs: &Certs) -> Result<Certificate> {
    Ok(Certificate::from_pem(read_to_string(&certs.ca)?))
}

fn request<T>(message: T) -> Request<T> {
    let mut r = Request::new(message);
    r.set_timeout(CALL_TIMEOUT);
    r
}

impl Peer for Tonic {
    type Conn = EchoClient<Channel>;

    async fn serve(certs: &Certs) -> Result<String> {
        server::serve(identity(certs)?, authority(certs)?).await
    }

    fn client(certs: &Certs, addr: &str) -> Result<Tonic> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(authority(certs)?)
            .identity(identity(certs)?)
            .domain_name("localhost");
        Ok(Tonic(
            Endpoint::from_shared(format!("https://{addr}"))?.tls_config(tls)?,
        ))
    }

    async fn connect(&self) -> Result<Self::Conn> {
        Ok(EchoClient::new(self.0.connect().await?))
    }

    async fn call(conn: &mut Self::Conn, data: &[u8]) -> Result<Vec<u8>> {
        let res = conn
            .unary(request(Payload {
                data: data.to_vec(),
            }))
            .await?;
        Ok(res.into_inner().data)
    }

    async fn feed(mut conn: Self::Conn, size: usize, d: Duration) -> Result<u64> {
        let req = FeedRequest {
            size: size as i64,
            duration_ns: d.as_nanos() as i64,
            interval_ns: 0,
        };
        let mut messages = conn.feed(request(req)).await?.into_inner();
        let mut n = 0;
        while let Some(m) = messages.message().await? {
            if m.data.len() != size {
                return Err("a message of a wrong size".into());
            }
            n += 1;
        }
        Ok(n)
    }

    async fn talk(mut conn: Self::Conn, data: Vec<u8>, d: Duration) -> Result<Round> {
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
        let mut answers = conn.talk(request(requests)).await?.into_inner();
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
}

fn main() -> Result<()> {
    harness::main::<Tonic>()
}

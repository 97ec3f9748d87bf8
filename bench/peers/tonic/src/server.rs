//! The server of tonic.

use std::pin::Pin;
use std::time::{Duration, Instant};

use harness::Result;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::pb::echo_server::{Echo, EchoServer};
use crate::pb::{FeedRequest, Payload};

struct Service;

#[tonic::async_trait]
impl Echo for Service {
    async fn unary(&self, req: Request<Payload>) -> std::result::Result<Response<Payload>, Status> {
        Ok(Response::new(req.into_inner()))
    }

    type FeedStream = Pin<Box<dyn Stream<Item = std::result::Result<Payload, Status>> + Send>>;

    async fn feed(
        &self,
        req: Request<FeedRequest>,
    ) -> std::result::Result<Response<Self::FeedStream>, Status> {
        let req = req.into_inner();
        let (size, duration) = (
            req.size as usize,
            Duration::from_nanos(req.duration_ns as u64),
        );
        let start = Instant::now();
        let mut sent = 0u64;
        let messages = std::iter::from_fn(move || {
            if sent % 16 == 0 && start.elapsed() >= duration {
                return None;
            }
            sent += 1;
            Some(Ok(Payload {
                data: vec![0; size],
            }))
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    type TalkStream = Streaming<Payload>;

    async fn talk(
        &self,
        req: Request<Streaming<Payload>>,
    ) -> std::result::Result<Response<Self::TalkStream>, Status> {
        Ok(Response::new(req.into_inner()))
    }
}

/// Starts the server and returns its address. The caller must have a certificate
/// of the authority.
pub async fn serve(identity: Identity, authority: Certificate) -> Result<String> {
    let tls = ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(authority);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = Server::builder()
        .tls_config(tls)?
        .add_service(EchoServer::new(Service));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move { server.serve_with_incoming(incoming).await });
    Ok(addr.to_string())
}

//! rpcnet for Rust as a peer of the comparison: bytes in, bytes out, over QUIC.
//! Its server proves who it is; it asks its clients for no certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use harness::{CALL_TIMEOUT, Certs, Peer, Result};
use rpcnet::{RpcClient, RpcConfig, RpcServer};

struct Rpcnet {
    config: RpcConfig,
    addr: SocketAddr,
}

impl Peer for Rpcnet {
    type Conn = Arc<RpcClient>;

    async fn serve(certs: &Certs) -> Result<String> {
        let config = RpcConfig::new(&certs.cert, "127.0.0.1:0")
            .with_key_path(&certs.key)
            .with_server_name("localhost");
        let mut server = RpcServer::new(config);
        server
            .register("unary", |data| async move { Ok(data) })
            .await;
        let quic = server.bind()?;
        let addr = quic.local_addr()?;
        tokio::spawn(async move { server.start(quic).await });
        Ok(addr.to_string())
    }

    fn client(certs: &Certs, addr: &str) -> Result<Rpcnet> {
        let config = RpcConfig::new(&certs.ca, "127.0.0.1:0").with_server_name("localhost");
        Ok(Rpcnet {
            config,
            addr: addr.parse()?,
        })
    }

    async fn connect(&self) -> Result<Self::Conn> {
        Ok(Arc::new(
            RpcClient::connect(self.addr, self.config.clone()).await?,
        ))
    }

    async fn call(conn: &mut Self::Conn, data: &[u8]) -> Result<Vec<u8>> {
        Ok(tokio::time::timeout(CALL_TIMEOUT, conn.call("unary", data.to_vec())).await??)
    }
}

fn main() -> Result<()> {
    harness::main::<Rpcnet>()
}

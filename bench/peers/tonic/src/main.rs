//! tonic as a peer of the comparison: the client and the server of one
//! measurement. They speak with the coordinator as those in Go do, one JSON value
//! a line, see ../../process.go.

mod client;
mod server;
mod usage;

mod pb {
    tonic::include_proto!("bench");
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: usage::Counting = usage::Counting;

/// The certificates that all libraries use.
struct Certs {
    ca: String,
    cert: String,
    key: String,
}

impl Certs {
    fn read(dir: &str) -> Result<Certs> {
        let file = |name: &str| std::fs::read_to_string(format!("{dir}/{name}"));
        Ok(Certs {
            ca: file("ca.pem")?,
            cert: file("test_cert.pem")?,
            key: file("test_key.pem")?,
        })
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| {
        let prefix = format!("-{name}=");
        args.iter()
            .find_map(|a| a.strip_prefix(&prefix))
            .unwrap_or_default()
    };
    let dir = flag("certs");
    let certs = Certs::read(dir)?;
    let rt = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match flag("role") {
        "server" => server::run(&rt, &certs),
        "client" => client::run(&rt, dir, &certs),
        role => Err(format!("-role is {role:?}, want client or server").into()),
    }
}

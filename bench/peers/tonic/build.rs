// Writes the client and the server of the contract, without an installed protoc.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let contract = protox::compile(["echo.proto"], ["../../internal/echopb"])?;
    println!("cargo:rerun-if-changed=../../internal/echopb/echo.proto");
    tonic_prost_build::configure().compile_fds(contract)?;
    Ok(())
}

//! The command line of vestore. What needs a model is done by `vestore-ingest`, which is started from here.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

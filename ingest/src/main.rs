//! The command line of the engine. People call it through `vestore`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

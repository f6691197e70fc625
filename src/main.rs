//! Arguments to exit code.

fn main() -> std::process::ExitCode {
    ringfence::cli::main()
}

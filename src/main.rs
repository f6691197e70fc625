//! Arguments to exit code.

/// Of those that were measured, the one of the system does not give the memory of a peak back (decision 36).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ringfence::cli::main()
}

//! A child process that ends with its test, and whose output can be read.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::await_some;

/// A running child. Killed and reaped when it is dropped; its output is shown if the test failed.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with all its output in a file.
    pub(crate) fn start(name: &str, directory: &Path, command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        Self::start_on(name, directory, command, |log| log.try_clone().unwrap().into())
    }

    /// The same for a command whose input is set already, and whose standard output is to be this.
    pub(crate) fn start_on(name: &str, directory: &Path, command: &mut Command, output: impl FnOnce(&File) -> Stdio) -> Self {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        command.stdout(output(&file)).stderr(file).current_dir(directory).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Panics with its output if it has ended.
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended early, {status}:\n{}", self.name, self.output());
        }
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        await_some(&what, || self.child.try_wait().unwrap())
    }

    /// Waits as long as it takes: for a process that has a time limit of its own.
    #[cfg(feature = "interop")]
    pub(crate) fn join(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(self.send(signal, ""), "cannot signal {}", self.name);
    }

    /// Sends a signal to it and to all that it has started.
    #[cfg(feature = "interop")]
    pub(crate) fn signal_all(&self, signal: &str) {
        assert!(self.send(signal, "-"), "cannot signal all of {}", self.name);
    }

    fn send(&self, signal: &str, group: &str) -> bool {
        let kill = format!("kill -s {signal} -- {group}{} 2>/dev/null", self.id());
        Command::new("sh").arg("-c").arg(kill).status().is_ok_and(|status| status.success())
    }

    /// Nanoseconds of processor time that its threads of this name have taken.
    pub(crate) fn spent(&self, name: &str) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let tasks = tasks.map(|task| task.unwrap().path());
        let named = tasks.filter(|task| fs::read_to_string(task.join("comm")).unwrap().trim_end() == name);
        let stat = named.map(|task| fs::read_to_string(task.join("schedstat")).unwrap());
        stat.map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Resident memory in octets.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a memory line");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Some peers are many processes: the whole group goes.
        self.send("KILL", "-");
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output();
            let tail: Vec<&str> = output.lines().rev().take(60).collect();
            eprintln!("--- last lines of {}:", self.name);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

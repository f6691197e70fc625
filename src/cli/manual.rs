//! `ringfence man` and `ringfence completions`. Both are made from the arguments, so they always agree with them.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::arguments::Arguments;
use super::exit::{FAILED, OK};
use super::help::{self, Help};
use super::output::{complain, print, shown};

/// Prints the completions of a shell.
pub(super) fn completions(shell: Shell) -> u8 {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ringfence", &mut out);
    print(&String::from_utf8_lossy(&out));
    OK
}

/// Writes all pages into a folder, or prints the first.
pub(super) fn manual(folder: Option<&Path>) -> u8 {
    let pages = match pages() {
        Ok(pages) => pages,
        Err(error) => return complain(&error.to_string(), FAILED),
    };
    let Some(folder) = folder else {
        print(&pages.first().map(|(_, page)| String::from_utf8_lossy(page)).unwrap_or_default());
        return OK;
    };
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| pages.iter().try_for_each(|(name, page)| std::fs::write(folder.join(name), page)));
    match written {
        Ok(()) => OK,
        Err(error) => complain(&format!("{}: {error}", shown(folder)), FAILED),
    }
}

/// The file name and the text of each page: the program's page, then each command's.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let mut pages = vec![("ringfence.1".to_owned(), page(program.clone(), None)?)];
    for command in program.get_subcommands() {
        pages.push(of_command(command, command.get_name())?);
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            pages.push(of_command(inner, &format!("{} {}", command.get_name(), inner.get_name()))?);
        }
    }
    Ok(pages)
}

/// The file name and the text of a command's page.
fn of_command(command: &clap::Command, called: &str) -> io::Result<(String, Vec<u8>)> {
    let name = page_name(called);
    let help = help::ALL.into_iter().find(|help| help.command == called);
    // The display name is what heads the page and stands in its NAME section, where `apropos` looks.
    let command = command.clone().display_name(name.clone()).version(env!("CARGO_PKG_VERSION"));
    Ok((format!("{name}.1"), page(command, help)?))
}

fn page_name(called: &str) -> String {
    format!("ringfence-{}", called.replace(' ', "-"))
}

fn page(command: clap::Command, help: Option<&Help>) -> io::Result<Vec<u8>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut out = Vec::new();
    let man = Man::new(command).title(name).manual("Ringfence").source(concat!("ringfence ", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    match help {
        Some(help) => after(help).to_writer(&mut out)?,
        None => man.render_subcommands_section(&mut out)?,
    }
    see_also(help).to_writer(&mut out)?;
    Ok(out)
}

fn after(help: &Help) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (what, line) in help.examples {
        roff.control("TP", []).text([roman(*what)]).text([bold(*line)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, when) in help.codes {
        roff.control("TP", []).text([bold(code.to_string())]).text([roman(*when)]);
    }
    roff
}

fn see_also(help: Option<&Help>) -> Roff {
    let here = help.map_or("", |help| help.command);
    let program = (!here.is_empty()).then(|| "ringfence".to_owned());
    let others = help::ALL.into_iter().filter(|other| other.command != here).map(|other| page_name(other.command));
    let mut names: Vec<Inline> = Vec::new();
    for name in program.into_iter().chain(others) {
        if !names.is_empty() {
            names.push(roman(", "));
        }
        names.extend([bold(name), roman("(1)")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text(names);
    roff
}

//! Finds the files that a pattern names, sorted. `*` may stand only in the last component. Paths are relative to the including
//! file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::report::{Place, Placed, Report};

/// Most files that a configuration may have.
const MOST: usize = 1_000_000;

/// The files that the patterns name, each once and with the place of its pattern. Files that are already read are left out.
pub(super) fn files(folder: &Path, patterns: &[Placed<String>], read: &[PathBuf], report: &mut Report) -> Vec<(PathBuf, Place)> {
    let mut seen: HashSet<PathBuf> = read.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut out: Vec<(PathBuf, Place)> = Vec::new();
    for pattern in patterns {
        for path in matches(folder, pattern, report) {
            // By the resolved path, so that `a/../b.toml` and `b.toml` are one file.
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !seen.insert(real) {
                continue;
            }
            if seen.len() > MOST {
                report.mistake(&pattern.place, format!("more than {MOST} files"), "fewer files");
                return out;
            }
            out.push((path, pattern.place.clone()));
        }
    }
    out
}

fn matches(folder: &Path, pattern: &Placed<String>, report: &mut Report) -> Vec<PathBuf> {
    let path = folder.join(&pattern.value);
    let (Some(parent), Some(last)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        report.mistake(&pattern.place, format!("`{}` names no file", pattern.value), "include = [\"projects.d/*.toml\"]");
        return Vec::new();
    };
    if parent.to_string_lossy().contains('*') {
        let right = "`*` in the last part of the path alone, for example `projects.d/*.toml`";
        report.mistake(&pattern.place, format!("`{}` has `*` in a folder", pattern.value), right);
        return Vec::new();
    }
    if !last.contains('*') {
        return vec![path];
    }
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) => {
            let wrong = format!("{} cannot be read: {error}", parent.display());
            report.mistake(&pattern.place, wrong, "a folder that exists; it may be empty");
            return Vec::new();
        }
    };
    // Hidden files are leftovers of editors and packagers.
    let wanted = |name: &str| (!name.starts_with('.') || last.starts_with('.')) && glob(last.as_bytes(), name.as_bytes());
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| wanted(name))
        .take(MOST + 1)
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(&pattern.value).with_file_name(name)).collect()
}

/// Whether a name matches a pattern in which `*` stands for any octets. Linear time, except that the last star is tried again.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(c) if name.get(n) == Some(c) => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|&c| c == b'*'))
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn star_matches_any_octets() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.toml.bak", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*", "a", true),
            ("**", "", true),
            ("x", "y", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}

//! Names and places of files in a guest. Pure.
//!
//! A file's name comes from a page, a person's disk or a guest, and is never more than a name: it cannot lead out of the folder
//! that was chosen. A path that does not begin with `/` begins at the home directory of the guest's agent, which people write `~`.

use crate::kit::text::shell_word;

/// Longest name of a file, in bytes: Linux's `NAME_MAX` (`include/uapi/linux/limits.h`).
const MAX_NAME: usize = 255;
/// Longest path that is taken, in bytes: Linux's `PATH_MAX` (4096, with a NUL) without a name.
const MAX_PATH: usize = 4095 - MAX_NAME - 1;
/// An ending that is longer is no ending, in bytes.
const MAX_ENDING: usize = 16;
/// Names that are tried for a file whose own is taken, with its own.
const CANDIDATES: usize = 32;

/// A name that a file can have in any folder of Linux: what cannot stand in one becomes `_`, and what is too long is cut.
pub(super) fn safe_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c == '/' || c.is_control() { '_' } else { c })
        .collect();
    match name.as_str() {
        "" | "." | ".." => "file".to_owned(),
        _ => with_suffix(&name, ""),
    }
}

/// The names that are tried in turn for a file: `notes.txt`, `notes-2.txt`, and so on.
pub(super) fn candidates(name: &str) -> Vec<String> {
    let numbered = (2..=CANDIDATES).map(|number| with_suffix(name, &format!("-{number}")));
    std::iter::once(name.to_owned()).chain(numbered).collect()
}

/// The name with something before its ending, cut to what Linux takes.
fn with_suffix(name: &str, suffix: &str) -> String {
    let (stem, ending) = name.split_at(ending_at(name));
    let room = MAX_NAME - ending.len() - suffix.len();
    format!("{}{suffix}{ending}", &stem[..stem.floor_char_boundary(room)])
}

/// Where the ending of a name begins, `.tar` counted in.
fn ending_at(name: &str) -> usize {
    let dot = |name: &str| {
        name.rfind('.')
            .filter(|at| *at > 0 && name.len() - at <= MAX_ENDING)
    };
    let Some(at) = dot(name) else { return name.len() };
    dot(&name[..at])
        .filter(|before| name[*before..at].eq_ignore_ascii_case(".tar"))
        .unwrap_or(at)
}

/// What a person wrote, as a path that the agent takes: relative to its home, or absolute.
fn path(text: &str) -> Result<&str, String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err("Expected a path, found one with control characters.".to_owned());
    }
    if text.len() > MAX_PATH {
        return Err(format!(
            "Expected a path of at most {MAX_PATH} bytes, found {}.",
            text.len()
        ));
    }
    match text.strip_prefix('~') {
        None => Ok(text),
        Some("") => Ok(""),
        Some(rest) if rest.starts_with('/') => Ok(rest.trim_start_matches('/')),
        Some(_) => Err(format!(
            "Expected / or nothing behind ~, found {text}: the home directories of others have paths of their own."
        )),
    }
}

/// The path as people write it.
fn shown(path: &str) -> String {
    match path {
        "" => "~".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("~/{path}"),
    }
}

/// The path as a word of a shell's.
pub(super) fn shell_path(path: &str) -> String {
    if path.starts_with('/') {
        shell_word(path)
    } else {
        format!("~/{}", shell_word(path))
    }
}

/// A folder in a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder(String);

impl Folder {
    /// The folder that a person wrote.
    ///
    /// # Errors
    /// A sentence that says what was expected and what was found.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = path(text)?;
        let trimmed = path.trim_end_matches('/');
        let is_root = trimmed.is_empty() && path.starts_with('/');
        Ok(Self(if is_root { "/" } else { trimmed }.to_owned()))
    }

    /// As people write it.
    pub fn shown(&self) -> String {
        shown(&self.0)
    }

    /// The path of a file in it, as the agent takes it.
    pub fn path(&self, name: &str) -> String {
        match self.0.as_str() {
            "" => name.to_owned(),
            "/" => format!("/{name}"),
            folder => format!("{folder}/{name}"),
        }
    }

    /// As `cd` takes it in the agent's home directory.
    pub fn for_cd(&self) -> String {
        if self.0.starts_with('/') {
            self.0.clone()
        } else {
            format!("./{}", self.0)
        }
    }
}

/// A file in a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(String);

impl FilePath {
    /// The file that a person wrote.
    ///
    /// # Errors
    /// A sentence that says what was expected and what was found.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = path(text)?;
        if path.is_empty() || path.ends_with('/') {
            let found = if text.trim().is_empty() {
                "nothing"
            } else {
                text.trim()
            };
            return Err(format!(
                "Expected the path of a file, such as ~/notes.txt, found {found}."
            ));
        }
        Ok(Self(path.to_owned()))
    }

    /// As people write it.
    pub fn shown(&self) -> String {
        shown(&self.0)
    }

    /// As the agent takes it.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The file's name, as it can be saved under.
    pub fn name(&self) -> String {
        safe_name(self.0.rsplit('/').next().unwrap_or_default())
    }
}

/// What looks in the guest which of [`candidates`] is free: of the arguments, the first is the folder and the others are names.
/// It prints how many of these are taken before one that is not.
pub(super) const LOOK: &str = r#"cd -- "$1" || exit 1
shift
taken=0
for name; do
  [ -e "./$name" ] || [ -L "./$name" ] || break
  taken=$((taken + 1))
done
echo $taken"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out_of_a_folder() {
        let long = "x".repeat(10_000);
        let wide = "é".repeat(300);
        for name in [
            "../x",
            "/etc/passwd",
            "",
            ".",
            "..",
            "a/../../b",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            &long,
            &wide,
            "~",
            "-rf",
            ".profile",
            "..\\x",
        ] {
            let safe = safe_name(name);
            assert!(!safe.is_empty() && safe.len() <= MAX_NAME, "{name:?}");
            assert!(!safe.contains(['/', '\0', '\n', '\u{1b}']), "{safe:?}");
            assert!(safe != "." && safe != "..", "{name:?}");
            let path = Folder::parse("~/in").unwrap().path(&safe);
            assert_eq!(path, format!("in/{safe}"));
            for candidate in candidates(&safe) {
                assert!(
                    candidate.len() <= MAX_NAME && !candidate.contains('/'),
                    "{candidate}"
                );
            }
        }
        assert_eq!(safe_name("../x"), ".._x");
        assert_eq!(safe_name("naïve 漢字.txt"), "naïve 漢字.txt");
    }

    #[test]
    fn long_names_keep_their_ending() {
        let safe = safe_name(&format!("{}.tar.gz", "y".repeat(400)));
        assert_eq!(safe.len(), MAX_NAME);
        assert!(safe.ends_with("y.tar.gz"));
        let numbered = &candidates(&safe)[1];
        assert_eq!(numbered.len(), MAX_NAME);
        assert!(numbered.ends_with("y-2.tar.gz"), "{numbered}");
    }

    #[test]
    fn candidates_are_numbered_before_the_ending() {
        for (name, second) in [
            ("notes.txt", "notes-2.txt"),
            ("a.tar.gz", "a-2.tar.gz"),
            ("Makefile", "Makefile-2"),
            (".profile", ".profile-2"),
            (
                "v1.a sentence that is no ending",
                "v1.a sentence that is no ending-2",
            ),
            ("a.b.c", "a.b-2.c"),
            ("a.", "a-2."),
        ] {
            let names = candidates(name);
            assert_eq!((names[0].as_str(), names[1].as_str()), (name, second));
            assert_eq!(names.len(), CANDIDATES);
        }
    }

    #[test]
    fn folders_begin_at_home() {
        for (text, shown, path) in [
            ("", "~", "x"),
            ("~", "~", "x"),
            (" ~/ ", "~", "x"),
            ("~//in//", "~/in", "in/x"),
            ("in", "~/in", "in/x"),
            ("/", "/", "/x"),
            ("/tmp/", "/tmp", "/tmp/x"),
            ("~/a b", "~/a b", "a b/x"),
        ] {
            let folder = Folder::parse(text).unwrap();
            assert_eq!(
                (folder.shown().as_str(), folder.path("x").as_str()),
                (shown, path),
                "{text:?}"
            );
            // What is shown means the same.
            assert_eq!(Folder::parse(&folder.shown()).unwrap(), folder);
        }
        for text in ["~root", "a\0b", "a\nb", &"d/".repeat(3000)] {
            assert!(Folder::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Folder::parse("-x").unwrap().for_cd(), "./-x");
        assert_eq!(Folder::default().for_cd(), "./");
    }

    #[test]
    fn files_have_a_name() {
        for (text, path, name) in [
            ("~/a/b.txt", "a/b.txt", "b.txt"),
            ("/proc/cpuinfo", "/proc/cpuinfo", "cpuinfo"),
            ("b", "b", "b"),
            ("/tmp/..", "/tmp/..", "file"),
        ] {
            let file = FilePath::parse(text).unwrap();
            assert_eq!((file.path(), file.name().as_str()), (path, name));
        }
        for text in ["", "~", "~/", "/", "a/", "~x/y"] {
            assert!(FilePath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hints_can_be_typed() {
        for (path, word) in [
            ("x", "~/x"),
            ("my file's", r"~/'my file'\''s'"),
            ("~", "~/'~'"),
            ("/tmp/$(x)", "'/tmp/$(x)'"),
            ("-l", "~/-l"),
        ] {
            assert_eq!(shell_path(path), word);
        }
    }

    #[test]
    fn all_that_is_looked_for_fits_into_a_message_of_the_agent() {
        let longest = candidates(&"z".repeat(MAX_NAME));
        let bytes: usize = longest.iter().map(|name| name.len() + 4).sum();
        // `qemuweb_agent::frame::MAX_MESSAGE`.
        assert!(bytes + MAX_PATH + LOOK.len() + 200 < 16 << 10);
    }
}

//! Fault injection into a directory of objects while agents read it: truncations, renames, links, pipes,
//! garbage, and the directory itself removed. None of it deletes an object, so no object may disappear.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::random::SeededRandom;

/// How long a file may be missing before an agent may treat it as removed. A test that gets no processor for
/// longer has removed it.
const MISSING_AT_MOST: Duration = Duration::from_millis(80);
/// Number of junk files beside the good ones.
const JUNK: usize = 30;

/// A fault injector for one directory.
#[derive(Debug)]
pub struct DirectoryFaults {
    /// The directory, or a link to it.
    path: PathBuf,
    /// Its files without any damage: name and contents.
    good: BTreeMap<String, String>,
    random: SeededRandom,
    /// Number of directories that have taken its place.
    versions: usize,
    /// Files being written: how far, and the contents in the end.
    writing: Vec<(File, usize, String)>,
    /// How often each fault was injected.
    pub injected: BTreeMap<&'static str, usize>,
    /// How often something was missing for longer than planned.
    pub missing_too_long: usize,
}

type DirectoryFault = fn(&mut DirectoryFaults) -> Result<()>;

/// The faults, by name.
const FAULTS: [(&str, DirectoryFault); 10] = [
    ("damage a file", DirectoryFaults::damage),
    ("damage a file again", DirectoryFaults::damage),
    ("repair a file", DirectoryFaults::repair_file),
    ("begin to write a file", DirectoryFaults::begin_to_write),
    ("continue writing a file", DirectoryFaults::continue_writing),
    ("continue writing a file again", DirectoryFaults::continue_writing),
    ("leave junk", DirectoryFaults::leave_junk),
    ("remove or rename junk", DirectoryFaults::move_junk),
    ("replace the directory", DirectoryFaults::replace),
    ("remove and recreate the directory", DirectoryFaults::recreate),
];

impl DirectoryFaults {
    /// Creates an injector for the directory with its present files.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path, seed: u64) -> Result<Self> {
        let mut good = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name().into_string().ok().context("a file name is not UTF-8")?;
            if !name.starts_with('.') {
                good.insert(name.clone(), fs::read_to_string(path.join(name))?);
            }
        }
        let random = SeededRandom::new(seed);
        let path = path.to_path_buf();
        Ok(Self {
            path,
            good,
            random,
            versions: 0,
            writing: Vec::new(),
            injected: BTreeMap::new(),
            missing_too_long: 0,
        })
    }

    /// Draws a number from the same sequence as the faults.
    pub fn seed(&mut self) -> u64 {
        self.random.draw()
    }

    /// Injects one fault.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn inject(&mut self) -> Result<()> {
        // The directory itself is replaced less often than files.
        let common = FAULTS.len() - if self.random.below(8) == 0 { 0 } else { 2 };
        let (name, inject) = FAULTS[self.random.below(common)];
        *self.injected.entry(name).or_default() += 1;
        inject(self).with_context(|| name)
    }

    /// Repairs everything.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn repair(&mut self) -> Result<()> {
        while !self.writing.is_empty() {
            self.continue_writing()?;
        }
        let whole = self.copy()?;
        self.put_in_place(&whole)
    }

    fn file(&mut self) -> (PathBuf, String) {
        let place = self.random.below(self.good.len());
        let (name, text) =
            self.good.iter().nth(place).map(|(name, text)| (name.clone(), text.clone())).unwrap_or_default();
        (self.path.join(name), text)
    }

    /// Returns an unused path beside the directory.
    fn beside(&mut self, name: &str) -> PathBuf {
        self.versions += 1;
        self.path.with_file_name(format!("{name}{}", self.versions))
    }

    /// Replaces a good file by something without objects.
    fn damage(&mut self) -> Result<()> {
        let (path, text) = self.file();
        let draft = self.beside("damaged");
        self.make_bad(&draft, &text)?;
        if draft.is_dir() || path.is_dir() {
            let begun = Instant::now();
            clear(&path)?;
            fs::rename(&draft, &path)?;
            self.note_missing(begun);
        } else {
            fs::rename(&draft, &path)?;
        }
        Ok(())
    }

    /// Creates something unreadable as objects at a free path.
    fn make_bad(&mut self, path: &Path, text: &str) -> Result<()> {
        let cut = self.random.below(text.len());
        match self.random.below(12) {
            0 => fs::write(path, [b"\xff", &text.as_bytes()[..cut]].concat())?,
            1 => fs::write(path, format!("---\n{{ # {cut}\n"))?,
            2 => fs::write(path, "{a: ".repeat(100_000))?,
            3 => fs::write(path, "[".repeat(400_000))?,
            4 => fs::write(path, format!("a0: &a0 x\n{}", doublings()))?,
            5 => File::create(path)?.set_len(40 << 20)?,
            6 => fs::create_dir(path)?,
            7 => mkfifo(path, Mode::S_IRWXU)?,
            8 => drop(UnixListener::bind(path)?),
            9 => symlink("nowhere", path)?,
            10 => symlink("/dev/zero", path)?,
            _ => {
                let noise: Vec<u8> = (0..4096).map(|_| self.random.below(256) as u8).collect();
                fs::write(path, [b"\xfe".as_slice(), &noise].concat())?;
            }
        }
        Ok(())
    }

    fn repair_file(&mut self) -> Result<()> {
        let (path, text) = self.file();
        let draft = self.beside("repaired");
        fs::write(&draft, text)?;
        let begun = Instant::now();
        if path.is_dir() {
            clear(&path)?;
        }
        fs::rename(draft, path)?;
        self.note_missing(begun);
        Ok(())
    }

    /// Truncates a good file and writes its first part; creates it if something else has its name.
    fn begin_to_write(&mut self) -> Result<()> {
        let (path, text) = self.file();
        if self.writing.len() > 4 {
            return self.continue_writing();
        }
        let begun = Instant::now();
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            clear(&path)?;
        }
        let file = File::create(&path)?;
        self.note_missing(begun);
        let part = self.random.below(text.len());
        file.write_all_at(&text.as_bytes()[..part], 0)?;
        self.writing.push((file, part, text));
        Ok(())
    }

    fn continue_writing(&mut self) -> Result<()> {
        if self.writing.is_empty() {
            return Ok(());
        }
        let place = self.random.below(self.writing.len());
        let (file, from, text) = &mut self.writing[place];
        let until = (*from + text.len() / 3 + 1).min(text.len());
        file.write_all_at(&text.as_bytes()[*from..until], *from as u64)?;
        *from = until;
        if until == text.len() {
            self.writing.swap_remove(place);
        }
        Ok(())
    }

    fn junk(&mut self) -> PathBuf {
        let number = self.random.below(JUNK);
        self.path.join(format!("junk{number}.yaml"))
    }

    /// Creates a file that should not be there: bad, or a part of something good.
    fn leave_junk(&mut self) -> Result<()> {
        let path = self.junk();
        clear(&path)?;
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: junk}\nspec: {type: LoadBalancer}\n";
        if self.random.below(2) == 0 {
            return self.make_bad(&path, text);
        }
        let part = self.random.below(text.len() + 1);
        let mut file = File::create(&path)?;
        file.write_all(&text.as_bytes()[..part])?;
        Ok(())
    }

    fn move_junk(&mut self) -> Result<()> {
        let (from, to) = (self.junk(), self.junk());
        if self.random.below(2) == 0 {
            return clear(&from);
        }
        if from != to && from.symlink_metadata().is_ok() {
            clear(&to)?;
            fs::rename(from, to)?;
        }
        Ok(())
    }

    /// Replaces the directory by another with all good files: directly, or by a link.
    fn replace(&mut self) -> Result<()> {
        let whole = self.copy()?;
        self.put_in_place(&whole)
    }

    fn copy(&mut self) -> Result<PathBuf> {
        let directory = self.beside("version");
        fs::create_dir(&directory)?;
        for (name, text) in &self.good {
            fs::write(directory.join(name), text)?;
        }
        Ok(directory)
    }

    fn put_in_place(&mut self, directory: &Path) -> Result<()> {
        let before = self.beside("before");
        let is_link = self.random.below(2) == 0;
        let new = if is_link {
            let link = self.beside("link");
            symlink(directory.file_name().context("a directory without a name")?, &link)?;
            link
        } else {
            directory.to_path_buf()
        };
        if is_link && self.path.is_symlink() {
            let target = self.path.with_file_name(fs::read_link(&self.path)?);
            fs::rename(new, &self.path)?;
            return Ok(fs::remove_dir_all(target)?);
        }
        let target = if self.path.is_symlink() { fs::read_link(&self.path).ok() } else { None };
        fs::rename(&self.path, &before)?;
        fs::rename(new, &self.path)?;
        if let Some(target) = target {
            fs::remove_dir_all(self.path.with_file_name(target))?;
        }
        clear(&before)
    }

    fn recreate(&mut self) -> Result<()> {
        // Removing a link would leave the directory behind it empty.
        if self.path.is_symlink() {
            return self.replace();
        }
        let begun = Instant::now();
        fs::remove_dir_all(&self.path)?;
        self.note_missing(begun);
        sleep(Duration::from_millis(self.random.below(400) as u64));
        fs::create_dir(&self.path)?;
        sleep(Duration::from_millis(self.random.below(200) as u64));
        let begun = Instant::now();
        for (name, text) in &self.good {
            fs::write(self.path.join(name), text)?;
        }
        self.note_missing(begun);
        Ok(())
    }

    fn note_missing(&mut self, begun: Instant) {
        self.missing_too_long += usize::from(begun.elapsed() > MISSING_AT_MOST);
    }
}

/// Removes anything at a path.
fn clear(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(path)?),
        Ok(_) => Ok(fs::remove_file(path)?),
        Err(_) => Ok(()),
    }
}

/// Returns YAML aliases that double in size with every line.
fn doublings() -> String {
    (1..400).map(|number| format!("a{number}: &a{number} [*a{}, *a{}]\n", number - 1, number - 1)).collect()
}

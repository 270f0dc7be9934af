//! The file that is written. What stood at its place stays until the recording has begun.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A file under way: a temporary one beside its place, removed if it is dropped before [`keep`].
///
/// [`keep`]: Output::keep
pub(super) struct Output {
    place: PathBuf,
    /// None: a device or a pipe is written as it is.
    temporary: Option<PathBuf>,
}

impl Output {
    pub(super) fn create(path: &Path) -> io::Result<(Self, File)> {
        // Behind a link, its target is replaced.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let found = fs::metadata(&place).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let temporary = None;
            let file = File::create(&place)?;
            return Ok((Self { place, temporary }, file));
        }
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let temporary = place.with_file_name(name);
        let file = File::create_new(&temporary)?;
        let output = Self {
            place,
            temporary: Some(temporary),
        };
        if let Some(found) = found {
            file.set_permissions(found.permissions())?;
        }
        Ok((output, file))
    }

    /// Puts the file at its place, over what stood there.
    pub(super) fn keep(mut self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.place)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_stood_there_stays_until_the_new_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        fs::write(&path, "old").unwrap();
        let (output, mut file) = Output::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.rec"]);
        let (output, mut file) = Output::create(&path).unwrap();
        output.keep().unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.rec"]);
    }

    #[test]
    fn links_are_followed_and_nothing_is_left_of_what_was_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.rec"), folder.path().join("link"));
        let (output, _) = Output::create(&path).unwrap();
        drop(output);
        assert!(names(folder.path()).is_empty());
        fs::write(&path, "old").unwrap();
        symlink("a.rec", &link).unwrap();
        let (output, _) = Output::create(&link).unwrap();
        output.keep().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert!(Output::create(folder.path()).is_err(), "a folder");
        assert!(Output::create(Path::new("/nonexistent/x.rec")).is_err());
    }

    #[test]
    fn devices_are_written_as_they_are() {
        let (output, mut file) = Output::create(Path::new("/dev/null")).unwrap();
        file.write_all(b"new").unwrap();
        output.keep().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        drop(Output::create(Path::new("/dev/null")).unwrap());
        assert!(Path::new("/dev/null").exists());
    }
}

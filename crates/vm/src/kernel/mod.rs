//! Finding a kernel to boot: a file, the host's own, or a packaged one that lies in the cache.

mod cache;
mod debian;
mod host;
mod version;

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    str::FromStr,
};

pub use cache::cached_kernels;
use version::Version;

use crate::Error;

/// The packaged kernel that is used when nothing else is asked for.
const DEFAULT_VERSION: &str = "7.0";

/// Which kernel to boot, as a person names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KernelSpec {
    /// The host's own if it has `sched_ext` and is readable, else a packaged 7.0.
    #[default]
    Default,
    /// The host's own.
    Host,
    /// A packaged kernel whose version starts with this, such as `7.0` or `6.18.15`.
    Version(String),
    /// A kernel image.
    Path(PathBuf),
}

impl FromStr for KernelSpec {
    type Err = Error;

    /// `default`, `host`, a version's start, or a path with a slash in it.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "" | "default" => Ok(Self::Default),
            "host" => Ok(Self::Host),
            path if path.contains('/') => Ok(Self::Path(path.into())),
            version if Version::prefix(version).is_some() => Ok(Self::Version(version.into())),
            file if Path::new(file).is_file() => Ok(Self::Path(file.into())),
            _ => Err(Error::KernelSpec(text.into())),
        }
    }
}

impl std::fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Host => f.write_str("host"),
            Self::Version(version) => f.write_str(version),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Where a kernel came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller gave its path.
    Path,
    /// It is the one that the host runs.
    Host,
    /// A Debian package, unpacked into the cache.
    Package,
}

/// A kernel image that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The image, readable.
    pub image: PathBuf,
    /// Its release, as `uname -r` will say; the path if the image does not tell.
    pub release: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Finds the kernel that `spec` means, fetching a package if the cache has none. `progress` gets
/// what a person should know meanwhile.
///
/// # Errors
/// There is no such kernel, it is not readable, or it cannot be fetched.
pub fn find_kernel(spec: &KernelSpec, progress: &dyn Fn(&str)) -> Result<Kernel, Error> {
    match spec {
        KernelSpec::Path(path) => from_path(path),
        KernelSpec::Host => host::kernel(),
        KernelSpec::Version(version) => debian::kernel(version, progress),
        KernelSpec::Default => match host::kernel() {
            // One too old, or with a known defect, has sched_ext and cannot be used.
            Ok(kernel) if is_usable(&kernel.release) => Ok(kernel),
            Ok(_) => debian::kernel(DEFAULT_VERSION, progress),
            Err(error) => {
                if matches!(error, Error::KernelUnreadable { .. }) {
                    progress(&format!("{error}; using a packaged kernel"));
                }
                debian::kernel(DEFAULT_VERSION, progress)
            }
        },
    }
}

fn from_path(path: &Path) -> Result<Kernel, Error> {
    let unreadable = |source| Error::KernelUnreadable {
        path: path.into(),
        host: false,
        source,
    };
    let image = path.canonicalize().map_err(unreadable)?;
    let mut file = File::open(&image).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a file")));
    }
    let release = release_of(&mut file).unwrap_or_else(|| image.display().to_string());
    Ok(Kernel {
        image,
        release,
        origin: Origin::Path,
    })
}

/// The release in an x86 image: the header's field at 0x20e says where, see the kernel's
/// Documentation/arch/x86/boot.rst.
fn release_of(file: &mut File) -> Option<String> {
    let mut header = [0; 0x210];
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_exact(&mut header).ok()?;
    if &header[0x202..0x206] != b"HdrS" {
        return None;
    }
    let offset = u64::from(u16::from_le_bytes([header[0x20e], header[0x20f]])) + 0x200;
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut text = [0; 256];
    let length = file.read(&mut text).ok()?;
    let text = text[..length].split(|&byte| byte == 0).next()?;
    let release = std::str::from_utf8(text).ok()?.split_whitespace().next()?;
    Some(release.into())
}

fn is_usable(release: &str) -> bool {
    Version::of_release(release).is_some_and(|version| version.is_usable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kernels() {
        let parse = |text: &str| text.parse::<KernelSpec>().unwrap();
        assert_eq!(parse("7.0"), KernelSpec::Version("7.0".into()));
        assert_eq!(parse("6.18.15"), KernelSpec::Version("6.18.15".into()));
        assert_eq!(parse("host"), KernelSpec::Host);
        assert_eq!(parse("default"), KernelSpec::Default);
        assert_eq!(parse("./x"), KernelSpec::Path("./x".into()));
        let error = "7.x".parse::<KernelSpec>().unwrap_err().to_string();
        assert!(error.starts_with("`7.x` names no kernel: "), "{error}");
    }

    #[test]
    fn a_missing_image_is_named() {
        let error = find_kernel(&KernelSpec::Path("/no/vmlinuz".into()), &|_| {}).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read kernel /no/vmlinuz: "),
            "{error}"
        );
    }
}

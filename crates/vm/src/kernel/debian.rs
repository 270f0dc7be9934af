//! Kernels from Debian's packages, unpacked into the cache.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::{Kernel, cache, version::Version};
use crate::{
    Error,
    packages::{self, Apt, Errand, Wanted},
};

/// Where Debian has recent kernels for its stable release.
const SUITE: &str = "trixie-backports";

/// The flavour for virtual machines: small, with the drivers that they need built in.
fn flavour() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "cloud-arm64",
        _ => "cloud-amd64",
    }
}

/// The newest kernel whose version starts with `prefix`: from the cache if there is one, and only
/// then is apt asked.
pub(super) fn kernel(prefix: &str, progress: &dyn Fn(&str)) -> Result<Kernel, Error> {
    let wanted = Version::prefix(prefix).ok_or_else(|| Error::KernelSpec(prefix.into()))?;
    let cache = packages::cache_dir()?;
    if let Some(kernel) = cached(&cache, &wanted) {
        return Ok(kernel);
    }
    let _lock = packages::lock(&cache, progress)?;
    // Another run may have fetched it while this one waited.
    if let Some(kernel) = cached(&cache, &wanted) {
        return Ok(kernel);
    }
    let cached_releases = cache::kernels_in(&cache)
        .into_iter()
        .map(|found| found.release);
    let errand = Errand {
        what: "a kernel package".into(),
        instead: "give a kernel's path (--kernel /path/vmlinuz)".into(),
        cached: cached_releases.collect(),
    };
    let apt = Apt::prepare(&cache, Wanted::Binaries, SUITE, errand)?;
    progress(&format!("looking for kernel {prefix} in {SUITE} ..."));
    apt.update()?;
    let names = apt.search(&format!("^linux-(binary|image)-[0-9].*-{}$", flavour()))?;
    let package = choose(&names, &wanted).ok_or_else(|| Error::NoPackage {
        mirror: apt.mirror().into(),
        suite: SUITE,
        flavour: flavour(),
    })?;
    if !wanted.starts(&package.version) {
        progress(&format!(
            "{SUITE} has no kernel {prefix} any more: taking the nearest, {}",
            package.release
        ));
        if let Some(kernel) = cached(&cache, &package.version) {
            return Ok(kernel);
        }
    }
    progress(&format!("fetching kernel {} ...", package.release));
    let deb = apt.download(&package.name)?;
    let kernel = unpack(&deb, &package, &cache);
    apt.clean();
    kernel
}

fn cached(cache: &Path, wanted: &Version) -> Option<Kernel> {
    cache::kernels_in(cache).into_iter().find(|kernel| {
        Version::of_release(&kernel.release).is_some_and(|version| wanted.starts(&version))
    })
}

/// A package with a kernel image in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    name: String,
    release: String,
    version: Version,
}

/// The newest package that starts with `wanted`, else the nearest that can stand in for it.
fn choose(names: &[String], wanted: &Version) -> Option<Package> {
    let mut packages: Vec<Package> = Vec::new();
    for name in names {
        let binary = name.strip_prefix("linux-binary-");
        let Some(release) = binary.or_else(|| name.strip_prefix("linux-image-")) else {
            continue;
        };
        let Some(version) = Version::of_release(release) else {
            continue;
        };
        let package = Package {
            name: name.clone(),
            release: release.into(),
            version,
        };
        match packages.iter_mut().find(|other| other.release == release) {
            // From 6.19 on there are both, and the image lies in linux-binary.
            Some(other) if binary.is_some() => *other = package,
            Some(_) => {}
            None => packages.push(package),
        }
    }
    packages.sort_by(|a, b| {
        b.version
            .cmp(&a.version)
            .then_with(|| a.release.cmp(&b.release))
    });
    let matching = packages
        .iter()
        .find(|package| wanted.starts(&package.version));
    let nearest = || {
        let usable = packages
            .iter()
            .filter(|package| package.version.is_usable());
        usable.min_by_key(|package| package.version.distance(wanted))
    };
    matching.or_else(nearest).cloned()
}

/// Takes the image out of the package: in `boot`, or, since 7.2, in the modules' directory.
fn unpack(deb: &Path, package: &Package, cache: &Path) -> Result<Kernel, Error> {
    let failed = |problem: String| Error::Unpack {
        package: package.name.clone(),
        problem,
    };
    let staging = cache.join("unpack");
    let _ = std::fs::remove_dir_all(&staging);
    std::fs::create_dir_all(&staging).map_err(packages::cache_error(&staging))?;
    let mut contents = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|_| Error::MissingTool {
            tool: "dpkg-deb".into(),
            package: "dpkg",
        })?;
    let image = staging.join("vmlinuz");
    let found = match contents.stdout.take() {
        Some(stream) => extract_image(stream, &image),
        None => Ok(false),
    };
    // Nothing reads on once the image is out, so the status says nothing in that case.
    let _ = contents.kill();
    let _ = contents.wait();
    let kernel = match found {
        Ok(true) => cache::store(cache, &package.release, &image),
        Ok(false) => Err(failed("there is no vmlinuz in it".into())),
        Err(error) => Err(failed(error.to_string())),
    };
    let _ = std::fs::remove_dir_all(&staging);
    kernel
}

/// Copies the first kernel image of a package's tar stream to `image`.
fn extract_image(stream: impl std::io::Read, image: &Path) -> std::io::Result<bool> {
    for entry in tar::Archive::new(stream).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_image = name == "vmlinuz" || name.starts_with("vmlinuz-");
        // Documentation and links of that name have no content worth booting.
        if is_image && entry.header().entry_type().is_file() && entry.size() > 1 << 20 {
            let mut file = std::fs::File::create(image)?;
            std::io::copy(&mut entry, &mut file)?;
            file.sync_all()?;
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "linux-binary-7.0.9+deb13-cloud-amd64",
        "linux-binary-7.0.13+deb13-cloud-amd64",
        "linux-image-7.0.13+deb13-cloud-amd64",
        "linux-binary-7.1.13+deb13-cloud-amd64",
        "linux-binary-7.2.12+deb13-cloud-amd64",
        "linux-image-6.12.9+deb13-cloud-amd64",
        "linux-image-6.16.3+deb13-cloud-amd64",
        "linux-image-6.18.15+deb13-cloud-amd64",
        "linux-headers-7.0.13+deb13-cloud-amd64",
        "linux-image-cloud-amd64",
    ];

    #[track_caller]
    fn check(prefix: &str, expected: &str) {
        let names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
        let package = choose(&names, &Version::prefix(prefix).unwrap()).unwrap();
        assert_eq!(package.name, expected, "{prefix}");
    }

    #[test]
    fn the_newest_that_matches() {
        check("7.0", "linux-binary-7.0.13+deb13-cloud-amd64");
        check("7.0.9", "linux-binary-7.0.9+deb13-cloud-amd64");
        check("7", "linux-binary-7.2.12+deb13-cloud-amd64");
        check("6.18", "linux-image-6.18.15+deb13-cloud-amd64");
        check("7.1", "linux-binary-7.1.13+deb13-cloud-amd64");
    }

    #[test]
    fn the_nearest_that_can_stand_in() {
        check("6.19", "linux-binary-7.0.13+deb13-cloud-amd64");
        check("6.11", "linux-image-6.16.3+deb13-cloud-amd64");
        check("7.4", "linux-binary-7.2.12+deb13-cloud-amd64");
        assert_eq!(
            choose(
                &["linux-image-6.12.9+deb13-cloud-amd64".into()],
                &Version::prefix("7.0").unwrap()
            ),
            None
        );
    }
}

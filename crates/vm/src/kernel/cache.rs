//! The cache of unpacked kernels: `kernels/RELEASE/vmlinuz` below the cache's directory. A directory
//! appears there by renaming, whole or not at all, so readers need no lock.

use std::path::Path;

use super::{Kernel, Origin, version::Version};
use crate::{
    Error,
    packages::{cache_dir, cache_error},
};

const IMAGE: &str = "vmlinuz";

/// The packaged kernels in the cache, newest first.
#[must_use]
pub fn cached_kernels() -> Vec<Kernel> {
    cache_dir().map(|dir| kernels_in(&dir)).unwrap_or_default()
}

pub(super) fn kernels_in(cache: &Path) -> Vec<Kernel> {
    let Ok(entries) = std::fs::read_dir(cache.join("kernels")) else {
        return Vec::new();
    };
    let mut kernels: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let release = entry.file_name().into_string().ok()?;
            let version = Version::of_release(&release)?;
            let image = entry.path().join(IMAGE);
            image.is_file().then_some((
                version,
                Kernel {
                    image,
                    release,
                    origin: Origin::Package,
                },
            ))
        })
        .collect();
    kernels.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.release.cmp(&b.1.release)));
    kernels.into_iter().map(|(_, kernel)| kernel).collect()
}

/// Puts an image into the cache. The caller holds the lock.
pub(super) fn store(cache: &Path, release: &str, image: &Path) -> Result<Kernel, Error> {
    let place = cache.join("kernels").join(release);
    let staged = cache.join("kernels").join(format!(".{release}.new"));
    let store = || {
        let _ = std::fs::remove_dir_all(&staged);
        std::fs::create_dir_all(&staged)?;
        std::fs::rename(image, staged.join(IMAGE))?;
        let _ = std::fs::remove_dir_all(&place);
        std::fs::rename(&staged, &place)
    };
    store().map_err(cache_error(&place))?;
    Ok(Kernel {
        image: place.join(IMAGE),
        release: release.into(),
        origin: Origin::Package,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_stored_and_listed_newest_first() {
        let cache = tempfile::TempDir::new().unwrap();
        for release in ["6.18.15+deb13-cloud-amd64", "7.0.13+deb13-cloud-amd64"] {
            let image = cache.path().join("image");
            std::fs::write(&image, release).unwrap();
            store(cache.path(), release, &image).unwrap();
        }
        // Left by a run that was killed.
        std::fs::create_dir(cache.path().join("kernels/.7.2.12.new")).unwrap();
        std::fs::create_dir(cache.path().join("kernels/7.2.12")).unwrap();
        let releases: Vec<_> = kernels_in(cache.path())
            .into_iter()
            .map(|kernel| kernel.release)
            .collect();
        assert_eq!(
            releases,
            ["7.0.13+deb13-cloud-amd64", "6.18.15+deb13-cloud-amd64"]
        );
    }
}

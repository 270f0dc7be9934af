//! The virtio-serial ports, by name.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

const CLASS: &str = "/sys/class/virtio-ports";
/// The driver learns the ports' names from messages that come after it is bound.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the port that the host calls `name`.
pub(super) fn open(name: &str) -> Result<File, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(device) = find(name) {
            let path = Path::new("/dev").join(&device);
            match File::options().read(true).write(true).open(&path) {
                Ok(file) => return Ok(file),
                Err(error) if Instant::now() > deadline => {
                    return Err(format!(
                        "cannot open port {name} ({}): {error}",
                        path.display()
                    ));
                }
                Err(_) => {}
            }
        } else if Instant::now() > deadline {
            return Err(format!(
                "the VM has no port {name}: is virtio-console in this kernel?"
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn find(name: &str) -> Option<String> {
    std::fs::read_dir(CLASS)
        .ok()?
        .filter_map(Result::ok)
        .find_map(|entry| {
            let text = std::fs::read_to_string(entry.path().join("name")).ok()?;
            (text.trim() == name).then(|| entry.file_name().to_string_lossy().into_owned())
        })
}

//! Panics of the guest's kernel: whose they are, and whether another boot may do better.

use std::path::Path;

use crate::{
    Error,
    qemu::{Accel, QemuVersion},
};

/// The error that a panic is: of the emulator where it is known for it, else of the kernel.
pub(super) fn whose(console: String, accel: Accel, program: &Path) -> Error {
    match emulator_defect(&console, accel, || QemuVersion::of(program)) {
        Some(version) => Error::EmulatorDefect {
            advice: version.against_stale_code(),
            version: version.to_string(),
            console,
        },
        None => Error::Panic { console },
    }
}

/// Whether a boot that failed by `error` may do better the next time. Only a panic is: it can be
/// the emulator's or a race in the kernel, while all else is certain to come again.
pub(super) fn is_worth_another_boot(error: &Error) -> bool {
    matches!(error, Error::Panic { .. } | Error::EmulatorDefect { .. })
}

/// Whether a panic is of an `int3` that the kernel placed to patch its own code, and that the
/// emulator kept: the kernel takes one that it did not place for its end. The first line is the
/// cause; what follows may be of anything.
fn emulator_defect(
    console: &str,
    accel: Accel,
    version: impl FnOnce() -> Option<QemuVersion>,
) -> Option<QemuVersion> {
    let cause = console.lines().next()?;
    if accel != Accel::Tcg || !cause.contains("int3:") {
        return None;
    }
    version()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT3: &str = "Oops: int3: 0000 [#1] SMP NOPTI\nRIP: 0010:sched_clock_cpu+0x5/0xd0";

    #[test]
    fn only_emulation_is_blamed_for_an_int3() {
        let version = |text: &str| QemuVersion::parse(&format!("version {text}"));
        let blamed = |console, accel, text| emulator_defect(console, accel, || version(text));
        assert_eq!(blamed(INT3, Accel::Tcg, "7.2.18"), version("7.2"));
        assert_eq!(blamed(INT3, Accel::Tcg, "10.0.2"), version("10.0"));
        assert_eq!(blamed(INT3, Accel::Tcg, "unknown"), None);
        assert_eq!(blamed(INT3, Accel::Kvm, "7.2.18"), None);
        let other = format!("BUG: kernel NULL pointer dereference\n{INT3}");
        assert_eq!(blamed(&other, Accel::Tcg, "7.2.18"), None);
    }

    #[test]
    fn only_a_panic_is_worth_another_boot() {
        let console = || INT3.to_owned();
        let of = |version: QemuVersion| Error::EmulatorDefect {
            advice: version.against_stale_code(),
            version: version.to_string(),
            console: console(),
        };
        let old = QemuVersion::parse("version 7.2").unwrap();
        let defect = of(old);
        assert!(is_worth_another_boot(&defect));
        assert!(is_worth_another_boot(&Error::Panic { console: console() }));
        assert_eq!(
            (defect.exit_code(), defect.code()),
            (123, "emulator-defect")
        );
        let text = defect.to_string();
        assert!(
            text.contains("7.2") && text.contains("QEMU 8.1 or later"),
            "{text}"
        );
        let text = of(QemuVersion::SOUND).to_string();
        assert!(
            text.contains("of this QEMU, 8.1") && text.contains(": run again:"),
            "{text}"
        );
        assert!(!is_worth_another_boot(&Error::NoBoot {
            console: console()
        }));
        assert!(!is_worth_another_boot(&Error::Interrupted(2)));
        assert!(!is_worth_another_boot(&Error::Guest("no port".into())));
    }
}

//! What a hostile program tries, for the tests: says on a line how far it got.
//!
//! `connect ADDRESS`, `abstract NAME`, `user`, `grow`, `spread SECONDS THREADS`, `refused`

use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["connect", address] => println!("{:?}", TcpStream::connect(address).map(drop)),
        ["abstract", name] => {
            let address = SocketAddr::from_abstract_name(name).expect("a name");
            println!("{:?}", UnixStream::connect_addr(&address).map(drop));
        }
        ["user"] => println!("{} {}", nix::unistd::getuid(), nix::unistd::geteuid()),
        ["grow"] => grow(),
        ["spread", seconds, threads] => spread(
            seconds.parse().expect("seconds"),
            threads.parse().expect("threads"),
        ),
        ["refused"] => refused(),
        _ => std::process::exit(2),
    }
}

/// Takes memory until it is ended.
fn grow() {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1u8; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

/// Computes in threads.
fn spread(seconds: u64, threads: u32) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| while std::time::Instant::now() < end {});
        }
    });
}

/// Enters namespaces, mounts, and signals the supervisor.
fn refused() {
    use nix::sched::{CloneFlags, unshare};
    let none: Option<&str> = None;
    let flags = nix::mount::MsFlags::empty();
    println!(
        "{:?} {:?} {:?} {:?}",
        unshare(CloneFlags::CLONE_NEWUSER),
        nix::mount::mount(Some("none"), "/tmp", Some("tmpfs"), flags, none),
        nix::unistd::chroot("/tmp"),
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), nix::sys::signal::SIGKILL),
    );
}

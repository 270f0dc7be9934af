//! `baton trace import`: a recording of what perf recorded.

use std::{path::PathBuf, process::ExitCode};

/// Make a recording of a file that `perf sched record` wrote
///
/// perf neither asks what the balancer asks nor knows Baton's relay, so that such events are
/// missing. A wakeup by an interrupt has no waker.
#[derive(clap::Args)]
#[command(after_help = "Example:
  perf sched record -o perf.data -- make -j8
  baton trace import perf.data -o make.rec")]
pub(crate) struct Args {
    /// The file of perf's
    file: PathBuf,
    /// The recording to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[cfg(feature = "perf")]
pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    use baton::app::{Code, Failure};
    use baton_trace::{
        WriteError, Writer,
        perf::{ImportFault, import},
    };

    let path = &args.output;
    super::export::not_the_same(&args.file, path)?;
    let imported = import(&args.file).map_err(|error| {
        let code = match &error.fault {
            ImportFault::Io(_) => Code::Io,
            _ => Code::BadRecording,
        };
        Failure::new(code, error.to_string())
    })?;
    let written = (|| {
        let out = std::fs::File::create(path)?;
        let mut writer = Writer::new(out, &imported.header)?;
        for event in &imported.events {
            writer.push(event)?;
        }
        writer.finish(&imported.trailer)
    })();
    let (_, trailer) = written.map_err(|error: WriteError| {
        Failure::new(
            Code::Io,
            format!("cannot write {}: {error}", path.display()),
        )
    })?;
    if args.json {
        let passed_over: serde_json::Map<String, serde_json::Value> = imported
            .passed_over
            .iter()
            .map(|(name, count)| (name.clone(), (*count).into()))
            .collect();
        let report = serde_json::json!({
            "file": path,
            "events": trailer.events,
            "lost": trailer.lost,
            "passed_over": passed_over,
        });
        outln!("{report}");
        return Ok(ExitCode::SUCCESS);
    }
    let seconds = trailer.duration_ns as f64 / 1e9;
    outln!(
        "{}: {} events in {seconds:.1} s on {} CPUs, {} lost",
        path.display(),
        trailer.events,
        imported.header.cpus(),
        trailer.lost
    );
    for (name, count) in &imported.passed_over {
        outln!("  {count} {name} left out: a recording has no such event");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "perf"))]
pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let _ = (&args.file, &args.output, args.json);
    crate::failures::fail(
        baton::app::Code::NotBuilt,
        "this program was built without the reader of perf's files: build it with --features perf",
    )
}

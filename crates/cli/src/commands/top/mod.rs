//! `baton top`: the tasks of the running policy, live.
//!
//! - `sample`: two looks at the relay, and what happened in between;
//! - `screen`: the terminal.

mod sample;
mod screen;

use std::{
    io::IsTerminal as _,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use baton::{
    app::{Failure, duration},
    kernel::{control::Request, takeover::Running},
};
use ratatui::{
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    widgets::TableState,
};

use super::why;
use crate::table::{Align, table};
use sample::{Order, Sample, View};

/// Watch the tasks of the policy that schedules this machine
///
/// Tasks with the CPU time they use, how long they wait and who places them, and the
/// relay's counters (root). Keys: c, w, m, n order by CPU, wait, longest wait, name; up
/// and down move; q ends. Without a terminal, or with --once, it prints one view.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sudo baton top --every 2s")]
pub(crate) struct Args {
    /// Time between two looks
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    every: Duration,
    /// Print one view and end
    #[arg(long)]
    once: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut running = Running::connect().map_err(Failure::from)?;
    let before = look(&mut running)?;
    if args.once || !std::io::stdout().is_terminal() {
        thread::sleep(args.every);
        let view = View::between(&before, &look(&mut running)?);
        print_once(&view);
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminal = ratatui::try_init()?;
    let result = watch(&mut terminal, &mut running, before, args.every);
    ratatui::try_restore()?;
    result.map(|()| ExitCode::SUCCESS)
}

fn look(running: &mut Running) -> anyhow::Result<Sample> {
    let status = running.ask(&Request::Status).map_err(Failure::from)?;
    Ok(Sample {
        at: Instant::now(),
        status,
        tasks: why::tasks(running)?,
    })
}

/// Shows view after view until a key ends it.
fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    running: &mut Running,
    mut before: Sample,
    every: Duration,
) -> anyhow::Result<()> {
    let (mut order, mut state) = (Order::Cpu, TableState::default());
    let mut view = View::between(&before, &before);
    let mut next = Instant::now() + every;
    loop {
        view.sort(order);
        terminal.draw(|frame| screen::draw(frame, &view, order, &mut state))?;
        let left = next.saturating_duration_since(Instant::now());
        if !left.is_zero() && event::poll(left)? {
            let Event::Key(key) = event::read()? else {
                continue;
            };
            if key.kind != KeyEventKind::Press {
                continue;
            }
            let interrupted = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if interrupted => return Ok(()),
                KeyCode::Char(letter) => order = Order::of_key(letter).unwrap_or(order),
                KeyCode::Down => state.select_next(),
                KeyCode::Up => state.select_previous(),
                _ => {}
            }
            continue;
        }
        // Another policy may have taken over: then its process answers.
        let sample = match look(running) {
            Ok(sample) => sample,
            Err(_) => {
                *running = Running::connect().map_err(Failure::from)?;
                look(running)?
            }
        };
        view = View::between(&before, &sample);
        before = sample;
        next = Instant::now() + every;
    }
}

fn print_once(view: &View) {
    let mut view = view.clone();
    view.sort(Order::Cpu);
    for line in view.head() {
        outln!("{line}");
    }
    let head = sample::COLUMNS.map(String::from).to_vec();
    let rows: Vec<_> = std::iter::once(head)
        .chain(view.rows.iter().map(|row| row.cells().to_vec()))
        .collect();
    let align = |column| match sample::is_figure(column) {
        true => Align::Right,
        false => Align::Left,
    };
    out!("\n{}", table(&rows, align));
}

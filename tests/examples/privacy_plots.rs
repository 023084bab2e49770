//! Draws the pictures of docs/privacy.md:
//! `cargo run --release -p tests --example privacy_plots`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plotters::prelude::*;
use tests::privacy::{Activity, BacklogDriven, CatchUp, Settings, Watch, Watched};
use tests::statistics::{count_windows, sorted};

type Done = Result<(), Box<dyn Error>>;

const SEED: u64 = 4;
/// Frames watched.
const FRAMES: usize = 6000;
/// Frames per second.
const RATE: f64 = 55.0;
const IDLE: RGBColor = RGBColor(31, 119, 180);
const BUSY: RGBColor = RGBColor(214, 69, 39);

fn main() -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    std::fs::create_dir_all(&folder)?;
    let watch = |activity| Watch::new(Settings::new(SEED, activity)).frames(FRAMES);
    let (idle, busy) = (watch(Activity::Idle), watch(Activity::Bursts));
    let backlog = Arc::default();
    let pacer = Box::new(BacklogDriven(Arc::clone(&backlog)));
    let broken = Watch::new(Settings { pacer, backlog, ..Settings::new(SEED, Activity::Bursts) });
    counts(&folder.join("privacy-counts.svg"), &idle, &busy, &broken.frames(FRAMES))?;
    gaps(&folder.join("privacy-gaps.svg"), &idle, &busy)?;
    wake(&folder.join("privacy-suspend.svg"))
}

/// Frames per second: idle, busy, and busy with a clock that hurries.
fn counts(path: &Path, idle: &Watched, busy: &Watched, broken: &Watched) -> Done {
    let root = SVGBackend::new(path, (900, 640)).into_drawing_area();
    root.fill(&WHITE)?;
    let parts = [
        ("Idle", idle, IDLE),
        ("Busy: the application sends in bursts (grey, messages per second)", busy, BUSY),
        ("For comparison, a broken clock that hurries with the backlog", broken, BLACK),
    ];
    for (area, (title, watched, colour)) in root.split_evenly((3, 1)).iter().zip(parts) {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 17))
            .margin(6)
            .x_label_area_size(32)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..60.0, 0.0..130.0)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("seconds")
            .y_desc("frames / s")
            .y_labels(5)
            .draw()?;
        let inputs: Vec<f64> = watched.inputs.iter().map(|(at, _)| *at).collect();
        let steps = |instants: &[f64]| -> Vec<(f64, f64)> {
            let counts = count_windows(instants, 1.0, 60.0);
            let step = |(i, count): (usize, &f64)| [(i as f64, *count), (i as f64 + 1.0, *count)];
            counts.iter().enumerate().flat_map(step).collect()
        };
        let bars = count_windows(&inputs, 1.0, 60.0);
        chart.draw_series(bars.iter().enumerate().map(|(i, count)| {
            let corners = [(i as f64, 0.0), (i as f64 + 1.0, 4.0 * count)];
            Rectangle::new(corners, RGBColor(200, 200, 200).filled())
        }))?;
        chart.draw_series(LineSeries::new(steps(&watched.instants()), colour.stroke_width(2)))?;
    }
    root.present()?;
    Ok(())
}

/// How many gaps are longer than so much, on a logarithmic scale: a line if exponential.
fn gaps(path: &Path, idle: &Watched, busy: &Watched) -> Done {
    let root = SVGBackend::new(path, (900, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Share of gaps that are longer", ("sans-serif", 17))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..160.0, (0.0003..1.0).log_scale())?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("gap, milliseconds").draw()?;
    let tail = |watched: &Watched| -> Vec<(f64, f64)> {
        let gaps = sorted(&watched.gaps());
        let n = gaps.len() as f64;
        gaps.iter().enumerate().map(|(i, gap)| (gap * 1000.0, 1.0 - i as f64 / n)).collect()
    };
    let law = (0..=160).map(|ms| (f64::from(ms), (-f64::from(ms) * RATE / 1000.0).exp()));
    chart
        .draw_series(LineSeries::new(law.filter(|(_, y)| *y > 0.0003), BLACK.stroke_width(1)))?
        .label("exponential, 55 per second")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLACK));
    for (name, watched, colour) in [("idle", idle, IDLE), ("busy", busy, BUSY)] {
        let width = if name == "idle" { 5 } else { 2 };
        chart
            .draw_series(LineSeries::new(
                tail(watched).into_iter().filter(|(_, y)| *y > 0.0003),
                colour.mix(if name == "idle" { 0.45 } else { 1.0 }).stroke_width(width),
            ))?
            .label(name)
            .legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(width))
            });
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}

/// Frames after ten minutes of sleep, with the clock as it is and with one that catches up.
fn wake(path: &Path) -> Done {
    let run = |settings: Settings| -> Vec<f64> {
        let mut watch = Watch::new(settings);
        watch.run_for(Duration::from_secs(5));
        watch.sim.suspend(watch.client, Duration::from_secs(600));
        watch.run_for(Duration::from_secs(600));
        let woken = watch.sim.now();
        watch.run_for(Duration::from_secs(4));
        let trace = watch.end().trace;
        let after = trace.iter().filter(|(at, _)| *at >= woken);
        after.map(|(at, _)| at.since(woken).as_secs_f64()).collect()
    };
    let ours = run(Settings::new(SEED, Activity::Bursts));
    let pacer = Box::new(CatchUp);
    let broken = run(Settings { pacer, ..Settings::new(SEED, Activity::Bursts) });
    let root = SVGBackend::new(path, (900, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let parts = [
        ("Frames per 100 ms after ten minutes of sleep", ours, BUSY),
        ("For comparison, a broken clock that makes up for what it missed", broken, BLACK),
    ];
    for (area, (title, instants, colour)) in root.split_evenly((2, 1)).iter().zip(parts) {
        let counts = count_windows(&instants, 0.1, 4.0);
        let top = counts.iter().fold(25.0, |top: f64, count| top.max(1.1 * count));
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 17))
            .margin(6)
            .x_label_area_size(32)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..4.0, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("seconds after waking")
            .y_desc("frames")
            .y_labels(5)
            .draw()?;
        chart.draw_series(counts.iter().enumerate().map(|(i, count)| {
            let at = i as f64 / 10.0;
            Rectangle::new([(at + 0.01, 0.0), (at + 0.09, *count)], colour.filled())
        }))?;
    }
    root.present()?;
    Ok(())
}

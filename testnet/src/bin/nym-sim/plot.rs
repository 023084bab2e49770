//! Pictures of a run, for what people rather see than read.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use plotters::coord::Shift;
use plotters::prelude::*;

use nym_proto::time::Instant;
use nym_testnet::sim::campaign::{Observed, Scenario};
use nym_testnet::sim::model::Manner;

use super::Cli;

type Done = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (960, 1180);
const BUSY: RGBColor = RGBColor(214, 69, 39);
const IDLE: RGBColor = RGBColor(31, 119, 180);
const GREY: RGBColor = RGBColor(110, 110, 110);
const COLOURS: [RGBColor; 6] = [
    RGBColor(214, 69, 39),
    RGBColor(31, 119, 180),
    RGBColor(44, 140, 60),
    RGBColor(148, 103, 189),
    RGBColor(200, 140, 20),
    RGBColor(90, 90, 90),
];
/// Seconds of single frames.
const CLOSE_UP: f64 = 3.0;

/// Runs the seed twice, busy and idle, and draws both.
pub(super) fn draw(path: &Path, cli: &Cli) -> ExitCode {
    let scenario = Scenario::draw(cli.seed.unwrap_or_default(), cli.suite.suite());
    let observed =
        scenario.observe().and_then(|busy| Ok((busy, scenario.clone().idle().observe()?)));
    match observed {
        Err(violation) => nym_console::note!("{violation:?}"),
        Ok((busy, idle)) => match picture(path, &scenario, &busy, &idle) {
            Err(error) => nym_console::note!("{}: {error}", path.display()),
            Ok(()) => return ExitCode::SUCCESS,
        },
    }
    ExitCode::FAILURE
}

fn picture(path: &Path, scenario: &Scenario, busy: &Observed, idle: &Observed) -> Done {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(64);
    headline(&head, scenario)?;
    let (rates, rest) = rest.split_vertically(380);
    let (close_up, rest) = rest.split_vertically(150);
    let (latency, pending) = rest.split_vertically(290);
    let seconds = scenario.duration.as_secs_f64();
    let (upper, lower) = rates.split_vertically(190);
    let title = "Client 0, busy: frames per second; grey marks: its application sends";
    rate(&upper, title, busy, seconds, BUSY)?;
    rate(&lower, "Client 0, idle: same seed, same faults, nothing is sent", idle, seconds, IDLE)?;
    single_frames(&close_up, busy, idle, seconds)?;
    latencies(&latency, busy)?;
    pending_acks(&pending, busy)?;
    root.present()?;
    Ok(())
}

fn headline(area: &Area<'_>, scenario: &Scenario) -> Done {
    let style = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    let (seed, clients) = (scenario.seed, scenario.clients.len());
    let first = format!(
        "Seed {seed}: {clients} clients, {:.0} s with faults",
        scenario.duration.as_secs_f64()
    );
    area.draw(&Text::new(first, (14, 10), style(20)))?;
    let kinds: Vec<_> = scenario.plan.kinds.iter().map(|kind| format!("{kind:?}")).collect();
    let faults = if kinds.is_empty() { "no faults".to_owned() } else { kinds.join(", ") };
    area.draw(&Text::new(faults, (14, 38), style(13)))?;
    Ok(())
}

fn seconds_of(at: Instant) -> f64 {
    at.as_nanos() as f64 / 1e9
}

/// When frames with packets were written in the first phase.
fn frames(observed: &Observed, seconds: f64) -> Vec<f64> {
    let packets = observed.frames.iter().filter(|(_, size)| *size > 1000);
    packets.map(|(at, _)| seconds_of(*at)).filter(|at| *at < seconds).collect()
}

/// When the application of client 0 sent something in the first phase.
fn sent(observed: &Observed, seconds: f64) -> Vec<f64> {
    let own = observed.messages.iter().filter(|sent| sent.from.0 == 0);
    own.map(|sent| seconds_of(sent.accepted_at)).filter(|at| *at < seconds).collect()
}

/// Frames per second, over the whole first phase.
fn rate(area: &Area<'_>, title: &str, observed: &Observed, seconds: f64, colour: RGBColor) -> Done {
    let mut counts = vec![0u32; seconds.ceil() as usize];
    for at in frames(observed, seconds) {
        if let Some(count) = counts.get_mut(at as usize) {
            *count += 1;
        }
    }
    let top = 1.25 * f64::from(counts.iter().copied().max().unwrap_or(1).max(4));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(6)
        .margin_right(18)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..seconds, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds")
        .y_desc("frames / s")
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    let ticks = sent(observed, seconds).into_iter();
    chart.draw_series(
        ticks.map(|at| PathElement::new([(at, top), (at, 0.92 * top)], GREY.stroke_width(1))),
    )?;
    let steps = counts.iter().enumerate().flat_map(|(second, count)| {
        let (from, count) = (second as f64, f64::from(*count));
        [(from, count), ((from + 1.0).min(seconds), count)]
    });
    chart.draw_series(LineSeries::new(steps, colour.stroke_width(2)))?;
    Ok(())
}

/// Each frame as a mark, for a few seconds around a message of the application.
fn single_frames(area: &Area<'_>, busy: &Observed, idle: &Observed, seconds: f64) -> Done {
    let (messages, written) = (sent(busy, seconds), frames(busy, seconds));
    let begin = |at: &f64| (at - CLOSE_UP / 3.0).max(0.0);
    let shown = |at: &&f64| {
        let from = begin(at);
        written.iter().filter(|frame| (from..from + CLOSE_UP).contains(*frame)).count()
    };
    let from = messages.iter().max_by_key(shown).map_or(seconds / 2.0, begin);
    let to = from + CLOSE_UP;
    let mut chart = ChartBuilder::on(area)
        .caption(
            "Each frame of client 0 around a message of its application (triangle)",
            ("sans-serif", 15),
        )
        .margin(6)
        .margin_right(18)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(from..to, 0.0..2.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .label_style(("sans-serif", 12))
        .axis_desc_style(("sans-serif", 12))
        .y_labels(0)
        .x_desc("seconds")
        .x_label_formatter(&|x| format!("{x:.1}"))
        .draw()?;
    for (name, colour, y) in [("busy", BUSY, 52), ("idle", IDLE, 84)] {
        area.draw(&Text::new(name, (28, y), ("sans-serif", 13).into_font().color(&colour)))?;
    }
    for (observed, colour, bottom) in [(busy, BUSY, 1.1), (idle, IDLE, 0.15)] {
        let shown = frames(observed, seconds).into_iter().filter(|at| (from..to).contains(at));
        chart.draw_series(shown.map(|at| {
            PathElement::new([(at, bottom), (at, bottom + 0.7)], colour.stroke_width(1))
        }))?;
    }
    let marks = messages.into_iter().filter(|at| (from..to).contains(at));
    chart.draw_series(marks.map(|at| TriangleMarker::new((at, 1.92), 6, GREY.filled())))?;
    Ok(())
}

/// The share of messages delivered within so many seconds.
fn latencies(area: &Area<'_>, busy: &Observed) -> Done {
    let kinds =
        [(Manner::Plain, "plain"), (Manner::Anonymous, "anonymous"), (Manner::Reply, "reply")];
    let of = |manner| {
        let delivered = busy.messages.iter().filter(|sent| sent.manner == manner);
        let mut times: Vec<_> = delivered
            .filter_map(|sent| Some(sent.delivered?.0.since(sent.accepted_at).as_secs_f64()))
            .map(|time| time.max(0.01))
            .collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let longest = kinds.iter().filter_map(|(manner, _)| of(*manner).last().copied());
    let end = longest.fold(1.0, f64::max) * 1.3;
    let mut chart = ChartBuilder::on(area)
        .caption("Share of the delivered messages that took no longer", ("sans-serif", 15))
        .margin(6)
        .margin_right(18)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d((0.03..end).log_scale(), 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds from acceptance to delivery, logarithmic")
        .y_desc("share")
        .x_label_formatter(&|x| format!("{x}"))
        .draw()?;
    for ((manner, name), colour) in kinds.into_iter().zip(COLOURS) {
        let times = of(manner);
        let all = times.len() as f64;
        let steps: Vec<_> = times
            .iter()
            .enumerate()
            .flat_map(|(i, time)| [(*time, i as f64 / all), (*time, (i + 1) as f64 / all)])
            .collect();
        let last = steps.last().map(|(_, share)| (end, *share));
        chart
            .draw_series(LineSeries::new(steps.into_iter().chain(last), colour.stroke_width(2)))?
            .label(format!("{name} ({})", times.len()))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(GREY)
        .draw()?;
    Ok(())
}

/// Acks waited for, client by client, over the whole run.
fn pending_acks(area: &Area<'_>, busy: &Observed) -> Done {
    let end = busy.report.time.as_secs_f64();
    let all = busy.pending.iter().flat_map(|(_, clients)| clients.iter().copied());
    let top = 1.15 * all.max().unwrap_or(1).max(4) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(
            "Fragments that wait for an ack; faults stop at the dashed line",
            ("sans-serif", 15),
        )
        .margin(6)
        .margin_right(18)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds")
        .y_desc("fragments")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    let clients = busy.pending.first().map_or(0, |(_, clients)| clients.len());
    for (client, colour) in (0..clients).zip(COLOURS.into_iter().cycle()) {
        let points = busy.pending.iter().filter_map(|(at, clients)| {
            clients.get(client).map(|waiting| (seconds_of(*at), *waiting as f64))
        });
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(1)))?
            .label(format!("client {client}"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let healed = busy.report.faults_for.as_secs_f64();
    chart.draw_series(DashedLineSeries::new(
        [(healed, 0.0), (healed, top)],
        6,
        4,
        GREY.stroke_width(1),
    ))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(GREY)
        .draw()?;
    Ok(())
}

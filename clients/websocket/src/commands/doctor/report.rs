//! What the doctor found.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::commands::print;

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    Ok,
    Failed,
    Skipped,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

struct Step {
    name: &'static str,
    status: Status,
    took: Duration,
    detail: String,
    remedy: Option<&'static str>,
}

/// All steps; each is told as soon as it is done, unless JSON is asked for.
pub(super) struct Report {
    is_json: bool,
    steps: Vec<Step>,
}

impl Report {
    pub(super) const fn new(is_json: bool) -> Self {
        Self { is_json, steps: Vec::new() }
    }

    /// Notes how a step went that began at `started`. Gives what the next steps need.
    pub(super) fn note<T>(
        &mut self,
        name: &'static str,
        started: Instant,
        result: anyhow::Result<(T, String)>,
        remedy: &'static str,
    ) -> anyhow::Result<Option<T>> {
        let took = started.elapsed();
        let (value, status, detail, remedy) = match result {
            Ok((value, detail)) => (Some(value), Status::Ok, detail, None),
            Err(error) => (None, Status::Failed, format!("{error:#}"), Some(remedy)),
        };
        self.push(Step { name, status, took, detail, remedy })?;
        Ok(value)
    }

    /// Notes a step that cannot be tried because an earlier one failed.
    pub(super) fn skip(&mut self, name: &'static str) -> anyhow::Result<()> {
        let detail = "an earlier step failed".to_owned();
        self.push(Step {
            name,
            status: Status::Skipped,
            took: Duration::ZERO,
            detail,
            remedy: None,
        })
    }

    fn push(&mut self, step: Step) -> anyhow::Result<()> {
        if !self.is_json {
            let Step { name, status, took, detail, remedy } = &step;
            let (status, millis) = (status.name(), took.as_millis());
            print(&format!("{status:8} {name:20} {millis:>6} ms  {detail}"))?;
            if let Some(remedy) = remedy {
                print(&format!("         {remedy}"))?;
            }
        }
        self.steps.push(step);
        Ok(())
    }

    /// True if no step failed.
    pub(super) fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.status == Status::Ok)
    }

    pub(super) fn finish(&self) -> anyhow::Result<()> {
        let is_good = self.is_good();
        if self.is_json {
            let steps: Vec<Value> = self.steps.iter().map(as_json).collect();
            return print(&json!({ "ok": is_good, "steps": steps }).to_string());
        }
        print(if is_good { "Everything works." } else { "Something does not work." })
    }
}

fn as_json(step: &Step) -> Value {
    json!({
        "step": step.name,
        "status": step.status.name(),
        "milliseconds": u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
        "detail": step.detail,
        "remedy": step.remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_is_enough_to_be_ill() {
        let mut report = Report::new(true);
        let now = Instant::now();
        let value = report.note("a", now, Ok((1, "fine".to_owned())), "eat more").unwrap();
        assert_eq!((value, report.is_good()), (Some(1), true));
        let failed = Err::<((), String), _>(anyhow::anyhow!("broken"));
        assert_eq!(report.note("b", now, failed, "eat less").unwrap(), None);
        report.skip("c").unwrap();
        assert!(!report.is_good());
        let steps: Vec<_> = report.steps.iter().map(as_json).collect();
        assert_eq!(steps[0]["remedy"], Value::Null);
        assert_eq!(
            (&steps[1]["status"], &steps[1]["remedy"]),
            (&json!("failed"), &json!("eat less"))
        );
        assert_eq!(steps[2]["status"], "skipped");
    }
}

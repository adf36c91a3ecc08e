//! What was measured, for people and for machines.

use std::fmt::Write;

use fgc::codegen::{KernelInfo, Peaks};
use serde_json::{Map, Value, json};

use super::{Measured, Profile};
use crate::stats::{operations, scaled};

/// How many kernels are listed one by one: those that take longest.
const LISTED: usize = 20;

/// Thousand millions each second.
fn giga(amount: u64, ms: f64) -> f64 {
    if ms > 0.0 { amount as f64 / ms * 1e-6 } else { 0.0 }
}

/// The unit that times of about `ms` are shown in, and how many of it are a millisecond.
fn unit(ms: f64) -> (&'static str, f64) {
    if ms < 0.1 { ("µs", 1e3) } else { ("ms", 1.0) }
}

/// For people.
pub fn text(m: &Measured) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<8} {value}");
    };
    let median = m.calls.median();
    let (unit, scale) = unit(median);
    let [least, low, middle, high] = [0.0, 0.25, 0.5, 0.75].map(|q| m.calls.quantile(q) * scale);
    let (calls, s) = (m.calls.count(), if m.threads == 1 { "" } else { "s" });
    line(
        "call",
        format!(
            "{middle:.3} {unit}, the median of {calls} on {} thread{s} (least {least:.3}, quartiles {low:.3} and {high:.3})",
            m.threads
        ),
    );
    let parts: Vec<String> = m.compile.iter().map(|(part, ms)| format!("{part} {ms:.1}")).collect();
    line(
        "compile",
        format!(
            "{:.1} ms ({}), then {:.3} ms for the first call",
            m.compile_ms(),
            parts.join(", "),
            m.first_ms
        ),
    );
    let rate = giga(m.flops(), median);
    let work = format!("{}, {rate:.1} GFLOP/s", operations(m.flops(), m.done()));
    let Some(profile) = &m.profile else {
        line("work", work);
        line("memory", scaled(m.peak_bytes as u64, "B"));
        return out;
    };
    let part = 100.0 * profile.peaks[1].share(m.done(), 0, median * 1e-3);
    line("work", format!("{work}, {part:.0} % of the peak"));
    line("memory", scaled(m.peak_bytes as u64, "B"));
    let machine = |k: usize| {
        let (flops, memory) = (profile.peaks[k].flops * 1e-9, profile.peaks[k].memory() * 1e-9);
        format!("{flops:.1} GFLOP/s and {memory:.1} GB/s")
    };
    let all = if m.threads == 1 { String::new() } else { format!("; together {}", machine(1)) };
    line("machine", format!("on 1 thread {}{all}", machine(0)));
    out + &kernels(m, profile)
}

/// The kernels that take longest.
fn kernels(m: &Measured, profile: &Profile) -> String {
    let total: f64 = profile.ms.iter().sum();
    let part = |ms: f64| if total > 0.0 { 100.0 * ms / total } else { 0.0 };
    let (unit, scale) = unit(m.calls.median());
    let mut out = format!("\n      {unit}      %  GFLOP/s     GB/s  of peak  kernel\n");
    let mut longest: Vec<(&KernelInfo, f64)> = m.kernels.iter().zip(profile.ms.iter().copied()).collect();
    longest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    for &(kernel, ms) in longest.iter().take(LISTED) {
        let (gflops, gbs) = (giga(kernel.flops, ms), giga(kernel.bytes, ms));
        let share = 100.0 * profile.peaks[1].share(kernel.done, kernel.bytes, ms * 1e-3);
        let (part, shown, name) = (part(ms), ms * scale, &kernel.name);
        let _ = writeln!(out, "{shown:8.3} {part:6.1} {gflops:8.1} {gbs:8.1}    {share:3.0} %  {name}");
    }
    if let Some(rest) = longest.get(LISTED..).filter(|rest| !rest.is_empty()) {
        let ms: f64 = rest.iter().map(|(_, ms)| ms).sum();
        let _ = writeln!(out, "{:8.3} {:6.1} {:>28}{} others", ms * scale, part(ms), "", rest.len());
    }
    out
}

/// For machines.
pub fn json(m: &Measured) -> String {
    let median = m.calls.median();
    let passes: Map<String, Value> =
        m.compile.iter().map(|&(part, ms)| (part.to_owned(), ms.into())).collect();
    let mut report = json!({
        "name": m.name,
        "threads": m.threads,
        "calls": m.calls.count(),
        "median_ms": median,
        "min_ms": m.calls.quantile(0.0),
        "quartiles_ms": [m.calls.quantile(0.25), m.calls.quantile(0.75)],
        "compile_ms": m.compile_ms(),
        "passes": passes,
        "first_call_ms": m.first_ms,
        "flops": m.flops(),
        "done": m.done(),
        "gflops": giga(m.flops(), median),
        "peak_bytes": m.peak_bytes,
    });
    if let Some(profile) = &m.profile {
        report["machine"] =
            json!({ "one_thread": machine(&profile.peaks[0]), "all_threads": machine(&profile.peaks[1]) });
        let kernels = m.kernels.iter().zip(&profile.ms);
        report["kernels"] = kernels.map(|(kernel, &ms)| kernel_json(kernel, ms, &profile.peaks[1])).collect();
    }
    format!("{report:#}\n")
}

fn machine(peaks: &Peaks) -> Value {
    let copy = |(bytes, rate): &(usize, f64)| json!({ "bytes": bytes, "gbs": rate * 1e-9 });
    let copies: Vec<Value> = peaks.copies.iter().map(copy).collect();
    json!({ "gflops": peaks.flops * 1e-9, "gbs": peaks.memory() * 1e-9, "copies": copies })
}

fn kernel_json(kernel: &KernelInfo, ms: f64, peaks: &Peaks) -> Value {
    json!({
        "name": kernel.name,
        "class": kernel.class,
        "ms": ms,
        "flops": kernel.flops,
        "done": kernel.done,
        "bytes": kernel.bytes,
        "gflops": giga(kernel.flops, ms),
        "gbs": giga(kernel.bytes, ms),
        "share": peaks.share(kernel.done, kernel.bytes, ms * 1e-3),
    })
}

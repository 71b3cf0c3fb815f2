//! `lockstep check` of a large tree: Services in 10,000, 100,000 and 1,000,000 documents, in one list, in JSON, and pods that cannot be read.
//!
//! Printed are the processor time for each object, the total, and the peak of resident memory. Each input is checked by a process of its
//! own, whose memory is that input's. `--smoke` checks small inputs.

use std::fmt::Write;
use std::process::{Command, ExitCode, Stdio};

/// A shape of the input.
const SHAPES: [&str; 4] = ["documents", "list", "json", "unreadable"];

/// The number of clock ticks in a second, which Linux fixes for user space (`USER_HZ`, proc(5)).
const TICKS: f64 = 100.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, shape, count] = arguments.as_slice()
        && flag == "--one"
    {
        return check_one(shape, count.parse().expect("a number"));
    }
    let is_smoke = arguments.iter().any(|argument| argument == "--smoke");
    let counts: &[usize] = if is_smoke { &[1_000] } else { &[10_000, 100_000, 1_000_000] };
    let program = std::env::current_exe().expect("the benchmark has a path");
    for shape in SHAPES {
        for count in counts {
            let done = Command::new(&program)
                .args(["--one", shape, &count.to_string()])
                .stderr(Stdio::inherit())
                .output()
                .expect("the benchmark starts");
            print!("{}", String::from_utf8_lossy(&done.stdout));
            if !done.status.success() {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn check_one(shape: &str, count: usize) -> ExitCode {
    // Files are limited in size, as a tree is.
    const IN_A_FILE: usize = 100_000;
    let folder = std::env::temp_dir().join(format!("lockstep-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("the folder can be created");
    for begin in (0..count).step_by(IN_A_FILE) {
        let extension = if shape == "json" { "json" } else { "yaml" };
        let text = text(shape, begin..(begin + IN_A_FILE).min(count));
        std::fs::write(folder.join(format!("{begin}.{extension}")), text).expect("the file can be written");
    }
    let before = processor_time();
    let code = lockstep::cli::check_path(&folder);
    let seconds = processor_time() - before;
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    let is_right = code == if shape == "unreadable" { 2 } else { 0 };
    let micros = seconds * 1e6 / f64::from(u32::try_from(count).expect("a small number"));
    let memory = peak_megabytes();
    println!("{shape:10} {count:8} objects: {micros:5.1} µs each, {seconds:6.2} s, peak {memory:.0} MB");
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn text(shape: &str, range: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    let end = range.end;
    match shape {
        "list" => text.push_str("apiVersion: v1\nitems:\n"),
        "json" => text.push_str("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n"),
        _ => {}
    }
    for number in range {
        let service = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  labels:\n    app: web-{number}\n  name: service-{number}\n  \
             namespace: team-{}\nspec:\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n  selector:\n    \
             app: web-{number}\n  type: ClusterIP\n",
            number % 500
        );
        let written = match shape {
            "list" => writeln!(text, "- {}", service.trim_end().replace('\n', "\n  ")),
            "json" => writeln!(
                text,
                "{{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {{\"name\": \"service-{number}\", \"namespace\": \
                 \"team-{}\", \"labels\": {{\"app\": \"web-{number}\"}}}}, \"spec\": {{\"ports\": [{{\"name\": \"http\", \"port\": 80}}], \
                 \"selector\": {{\"app\": \"web-{number}\"}}}}}}{}",
                number % 500,
                if number + 1 == end { "]}" } else { "," }
            ),
            "unreadable" => writeln!(
                text,
                "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: pod-{number}\n  labels:\n    app: 1\nspec:\n  containers: []"
            ),
            _ => writeln!(text, "---\n{service}"),
        };
        written.expect("a string can be written to");
    }
    if shape == "list" {
        text.push_str("kind: List\n");
    }
    text
}

/// The processor time of this process in seconds, from `/proc/self/stat`.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this system reports it");
    // The name of the program may have spaces, and is in parentheses.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = |index| {
        fields.split_whitespace().nth(index).and_then(|field| field.parse::<u32>().ok()).expect("a number")
    };
    // `utime` and `stime` are fields 14 and 15; the name is field 2.
    f64::from(ticks(11) + ticks(12)) / TICKS
}

fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this system reports it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: u32 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    f64::from(kilobytes) / 1024.0
}

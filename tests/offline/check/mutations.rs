//! Mutated manifests through every output format: no panic, no hang, a documented exit code, and outputs that their readers can read.
//!
//! The number of inputs is small here: `just fuzz-check` runs millions. `LOCKSTEP_MUTATIONS` is their number, `LOCKSTEP_SEED` gives other
//! inputs, `LOCKSTEP_THREADS` is the number of processors to use, and `LOCKSTEP_FIRST` the number of the first input, to repeat one.
//! Where an input ends the whole process, as an overflow of the stack does, the file `mutations-running` in `target/tmp` has the number of
//! the first input of the 64 that each thread checked.

mod manifests;
mod numbers;
mod shrink;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lockstep::cli::{CheckedText, TextOptions};

use self::manifests::{manifests, mutant};
pub use self::numbers::Numbers;
pub use self::shrink::shrunk;
use crate::fuzz::bodies::check;

/// The number of inputs without `LOCKSTEP_MUTATIONS`.
const INPUTS: u64 = 300;

/// More than any input of a few kilobytes may take, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(20);

/// The time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// The stack of a thread in bytes. The decoder of YAML allocates one of its own where less than 16 MiB are left, which takes time.
const STACK: usize = 24 << 20;

/// The number of inputs that a thread reports at once.
const BATCH: u64 = 64;

/// The counts of some inputs, by their end.
#[derive(Debug, Default)]
struct Counts {
    inputs: u64,
    /// By exit code.
    exits: [u64; 3],
    /// Inputs of which at least one object was judged.
    judged: u64,
    /// Objects that were judged.
    objects: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.judged += other.judged;
        self.objects += other.objects;
        for (own, other) in self.exits.iter_mut().zip(other.exits) {
            *own += other;
        }
    }

    fn line(&self, since: Instant) -> String {
        let seconds = since.elapsed().as_secs_f64();
        let Self { inputs, exits: [fine, denied, unusable], judged, objects } = self;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = *inputs as f64 / seconds.max(0.001);
        format!(
            "{inputs} inputs in {seconds:.0} s ({rate:.0} a second): exit code 0: {fine}, 1: {denied}, 2: {unusable}; \
            {objects} objects judged in {judged} of the inputs"
        )
    }
}

/// A failure, or the counts of a batch.
type Message = Result<Counts, String>;

/// The inputs of a run.
#[derive(Debug)]
struct Inputs {
    manifests: Vec<Vec<u8>>,
    seed: u64,
    /// The number of the next input.
    next: AtomicU64,
    /// The number after the last one.
    end: u64,
    /// For each thread, when its present input began, in milliseconds after `begin`, and its number.
    current: Vec<(AtomicU64, AtomicU64)>,
    begin: Instant,
    /// The first input of each thread's present batch, a line each: it outlives the process.
    running: File,
}

impl Inputs {
    fn input(&self, number: u64) -> (Vec<u8>, TextOptions) {
        let mut numbers = Numbers::of_input(self.seed, number);
        let input = mutant(&self.manifests, &mut numbers);
        let options = TextOptions {
            is_strict: numbers.below(4) == 0,
            is_quiet: numbers.below(8) == 0,
            has_color: numbers.below(4) == 0,
            width: (numbers.below(2) == 0).then(|| 20 + numbers.below(120)),
        };
        (input, options)
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap()
    }

    fn run(&self, thread: usize, results: &Sender<Message>) {
        let mut counts = Counts::default();
        loop {
            let first = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let last = first.saturating_add(BATCH).min(self.end);
            if first >= last {
                break;
            }
            let line = format!("{first:20}\n");
            let at = u64::try_from(thread * line.len()).unwrap();
            self.running.write_all_at(line.as_bytes(), at).unwrap();
            for number in first..last {
                let (input, options) = self.input(number);
                let (began, running) = &self.current[thread];
                running.store(number, Ordering::Relaxed);
                began.store(self.milliseconds(), Ordering::Relaxed);
                match checked(&input, options) {
                    Ok(checked) => {
                        counts.inputs += 1;
                        counts.exits[usize::from(checked.exit)] += 1;
                        counts.judged += u64::from(checked.judged > 0);
                        counts.objects += u64::try_from(checked.judged).unwrap();
                    }
                    Err(failure) => {
                        // Shrinking is not a hang.
                        began.store(u64::MAX, Ordering::Relaxed);
                        let small = shrunk(&input, &mut |text| checked_fails_so(text, options, &failure));
                        let _ = results.send(Err(self.report(number, &failure, &small)));
                        return;
                    }
                }
            }
            if results.send(Ok(std::mem::take(&mut counts))).is_err() {
                return;
            }
        }
        self.current[thread].0.store(u64::MAX, Ordering::Relaxed);
    }

    /// The number of the input that runs for longer than the limit.
    fn hanging(&self) -> Option<u64> {
        let now = self.milliseconds();
        let limit = u64::try_from(LIMIT.as_millis()).unwrap();
        self.current.iter().find_map(|(began, number)| {
            let began = began.load(Ordering::Relaxed);
            (now > began.saturating_add(limit)).then(|| number.load(Ordering::Relaxed))
        })
    }

    fn report(&self, number: u64, failure: &str, small: &[u8]) -> String {
        let path = kept(number, small);
        format!(
            "input {number} of seed {}: {failure}\n{}\n{}\nrepeat it: LOCKSTEP_SEED={} LOCKSTEP_FIRST={number} LOCKSTEP_MUTATIONS=1",
            self.seed,
            path.display(),
            small.escape_ascii(),
            self.seed
        )
    }
}

/// Writes the input that failed into a file.
fn kept(number: u64, input: &[u8]) -> PathBuf {
    let path = in_target(&format!("mutation-{number}.yaml"));
    std::fs::write(&path, input).unwrap();
    path
}

fn in_target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The place of the last panic, which tells two panics apart.
fn last_panic() -> &'static std::sync::Mutex<String> {
    static LAST: OnceLock<std::sync::Mutex<String>> = OnceLock::new();
    LAST.get_or_init(std::sync::Mutex::default)
}

/// Checks a text. The error says what is wrong with the answer.
fn checked(text: &[u8], options: TextOptions) -> Result<CheckedText, String> {
    catch_unwind(AssertUnwindSafe(|| check::checked(text, options)))
        .map_err(|_| format!("a panic: {}", last_panic().lock().unwrap()))?
}

fn checked_fails_so(text: &[u8], options: TextOptions, failure: &str) -> bool {
    checked(text, options).is_err_and(|other| other == failure)
}

/// Sums up the batches, prints progress, and ends with the first failure or hang.
fn watch(inputs: &Inputs, results: &Receiver<Message>, is_long: bool) -> Result<Counts, String> {
    let (mut all, mut shown) = (Counts::default(), Instant::now());
    loop {
        match results.recv_timeout(Duration::from_secs(1)) {
            Ok(Ok(counts)) => all.add(&counts),
            Ok(Err(failure)) => return Err(failure),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(all),
        }
        if let Some(number) = inputs.hanging() {
            let (input, _) = inputs.input(number);
            return Err(inputs.report(number, &format!("no answer within {LIMIT:?}"), &input));
        }
        if is_long && shown.elapsed() >= PROGRESS {
            println!("{}", all.line(inputs.begin));
            shown = Instant::now();
        }
    }
}

#[test]
fn no_mutated_manifest_causes_a_panic_a_hang_or_an_unknown_exit_code() {
    let set = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let count = set("LOCKSTEP_MUTATIONS");
    let first = set("LOCKSTEP_FIRST").unwrap_or_default();
    let threads = usize::try_from(set("LOCKSTEP_THREADS").unwrap_or(1)).unwrap();
    let inputs = Arc::new(Inputs {
        manifests: manifests(),
        seed: set("LOCKSTEP_SEED").unwrap_or_default(),
        next: AtomicU64::new(first),
        end: first + count.unwrap_or(INPUTS),
        current: (0..threads).map(|_| (AtomicU64::new(u64::MAX), AtomicU64::new(0))).collect(),
        begin: Instant::now(),
        running: File::create(in_target("mutations-running")).unwrap(),
    });
    let report_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if std::thread::current().name() == Some("mutations") {
            *last_panic().lock().unwrap() =
                format!("{place}: {}", panic.payload_as_str().unwrap_or_default());
        } else {
            report_panic(panic);
        }
    }));
    let (sender, results) = channel();
    // A thread that hangs is left behind: the program ends without it.
    for thread in 0..threads {
        let (inputs, sender) = (Arc::clone(&inputs), sender.clone());
        let started = std::thread::Builder::new()
            .name("mutations".to_owned())
            .stack_size(STACK)
            .spawn(move || inputs.run(thread, &sender));
        drop(started.unwrap());
    }
    drop(sender);
    let counts = watch(&inputs, &results, count.is_some()).unwrap_or_else(|failure| panic!("{failure}"));
    println!("evidence: seed {}: {}", inputs.seed, counts.line(inputs.begin));
    assert_eq!(counts.inputs, inputs.end - first);
    if counts.inputs >= INPUTS {
        assert!(counts.exits.iter().all(|count| *count > 0), "{counts:?}");
        // Inputs that are only rejected by the parser would prove little.
        assert!(counts.judged * 3 > counts.inputs, "{counts:?}");
    }
}

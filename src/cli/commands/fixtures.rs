//! `loadgen fixtures inspect`: measures recordings and writes their annotations.
//!
//! In: sound files. Out: levels and times on stdout; with `--write`, the sidecar that a run
//! reads. Invariants: a sidecar is written atomically, and replaced only with `--force`.

use crate::audio::{
    Annotation, AudioError, Doubt, Judged, RATE, SHORTEST_PAUSE, decode, judge, pauses,
};
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::run::{MAX_SIDECAR, read_at_most};
use crate::vocab::Channel;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Error, ErrorKind, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Shortest pause that is listed: 100 ms.
const PAUSE: usize = RATE as usize / 10;

/// Arguments of `loadgen fixtures`.
#[derive(Debug, Args)]
pub(crate) struct FixturesArgs {
    /// What to do with the recordings.
    #[command(subcommand)]
    pub command: FixturesCommand,
}

/// Subcommands of `loadgen fixtures`.
#[derive(Debug, Subcommand)]
pub(crate) enum FixturesCommand {
    /// Print level, start and end of speech, pauses and trailing silence
    Inspect(InspectArgs),
}

/// Arguments of `loadgen fixtures inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Sound files: WAV, FLAC, MP3, AAC, Vorbis, Opus
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Write the times found to FILE's annotation, the file of the same name ending in .json
    #[arg(long)]
    pub write: bool,
    /// With --write: replace existing annotations, keeping their text
    #[arg(long, requires = "write")]
    pub force: bool,
    /// Print one line of JSON for each file
    #[arg(long)]
    pub json: bool,
    /// Channel to measure: left, right, mix [default: the one that a run would use]
    #[arg(long, value_name = "CHANNEL", value_parser = channel, hide_possible_values = true)]
    pub channel: Option<Channel>,
}

/// Measurements of a file; times in ms from its start.
#[derive(Debug, Serialize)]
struct Inspected {
    file: String,
    length_ms: f64,
    active_level_dbfs: f64,
    speech_start_ms: f64,
    speech_end_ms: f64,
    trailing_silence_ms: f64,
    pauses: Vec<Pause>,
    /// End of speech according to the existing sidecar.
    annotated_speech_end_ms: Option<f64>,
    /// Reasons to doubt the recording or its measurements.
    doubts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Pause {
    start_ms: f64,
    length_ms: f64,
}

/// The sidecar, as a run reads it.
#[derive(Debug, Serialize)]
struct Sidecar<'a> {
    version: u32,
    speech_start_ms: f64,
    speech_end_ms: f64,
    /// Those that divide the speech; without any, the run would find none either.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pauses: Vec<WrittenPause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// A pause, as a run reads it.
#[derive(Debug, Serialize)]
struct WrittenPause {
    start_ms: f64,
    end_ms: f64,
}

/// Inspects every file; returns the most severe exit code.
pub(super) fn execute(args: &FixturesArgs) -> Exit {
    let FixturesCommand::Inspect(args) = &args.command;
    let inspect = |file: &PathBuf| inspect(file, args).unwrap_or_else(|trouble| trouble.tell());
    args.files.iter().map(inspect).fold(Exit::Success, Exit::or)
}

fn channel(name: &str) -> Result<Channel, String> {
    let named = |channel: &&Channel| channel.name() == name;
    let channel = Channel::ALL.iter().find(named).copied();
    channel.ok_or_else(|| "it must be `left`, `right` or `mix`".to_owned())
}

fn inspect(file: &Path, args: &InspectArgs) -> Result<Exit, Trouble> {
    let bytes = read_at_most(file, decode::MAX_BYTES).map_err(|e| unreadable(file, &e))?;
    let trouble = |e: AudioError| trouble(file, &e);
    let extension = file.extension().and_then(|e| e.to_str());
    let recording = decode::recording(&bytes, extension).map_err(trouble)?;
    let (pcm, doubt) = recording.mono(args.channel).map_err(trouble)?;
    let judged = judge(&pcm).ok_or_else(|| trouble(Doubt::no_speech(doubt)))?;
    let sidecar = file.with_extension("json");
    let annotation = annotation(&sidecar, args.force)?;
    let doubts: Vec<Doubt> = doubt.into_iter().chain(Doubt::of_end(&judged)).collect();
    let found = figures(file, &judged, annotation.as_ref(), &doubts);
    let shown = if args.json {
        json_line(&found)
    } else {
        text(&found)
    };
    let exit = console::data([shown]);
    for doubt in &doubts {
        let (file, hint) = (file.display(), doubt.hint());
        console::warn(&format!("{file}: {doubt}\n  hint: {hint}"));
    }
    if args.write {
        let text = annotation.as_ref().and_then(Annotation::text);
        write(&sidecar, &found, text, args.force)?;
        console::note(&format!("wrote `{}`", sidecar.display()));
    }
    Ok(exit)
}

fn trouble(file: &Path, e: &AudioError) -> Trouble {
    Trouble::new(Exit::Error, format!("`{}`: {e}", file.display()), e.hint())
}

/// Reads the annotation next to a recording; a file of another program is reported and left alone.
fn annotation(sidecar: &Path, force: bool) -> Result<Option<Annotation>, Trouble> {
    match read_at_most(sidecar, MAX_SIDECAR) {
        Ok(json) => match Annotation::parse(&json) {
            Ok(annotation) => Ok(Some(annotation)),
            Err(AudioError::Foreign) if !force => {
                let (file, e) = (sidecar.display(), AudioError::Foreign);
                console::warn(&format!("`{file}`: {e}\n  hint: {}", e.hint()));
                Ok(None)
            }
            // Another program's file is not replaced, even with `--force`.
            Err(AudioError::Foreign) => Err(trouble(sidecar, &AudioError::Foreign)),
            Err(_) if force => Ok(None),
            Err(e) => Err(trouble(sidecar, &e)),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(sidecar, &e)),
    }
}

fn figures(
    file: &Path,
    judged: &Judged<'_>,
    annotation: Option<&Annotation>,
    doubts: &[Doubt],
) -> Inspected {
    let pause = |gap: Range<usize>| Pause {
        start_ms: ms(gap.start),
        length_ms: ms(gap.len()),
    };
    let (pcm, span) = (&judged.pcm[..], &judged.span);
    Inspected {
        file: file.display().to_string(),
        length_ms: ms(pcm.len()),
        active_level_dbfs: (f64::from(span.active_level_dbfs) * 10.0).round() / 10.0,
        speech_start_ms: ms(span.start),
        speech_end_ms: ms(span.end),
        trailing_silence_ms: ms(pcm.len() - span.end),
        pauses: pauses(pcm, span, PAUSE).into_iter().map(pause).collect(),
        annotated_speech_end_ms: annotation
            .map(|a| (a.speech_end().as_secs_f64() * 1e9).round() / 1e6),
        doubts: doubts.iter().map(Doubt::to_string).collect(),
    }
}

/// Converts samples to ms, rounded to the nanosecond, which still identifies the sample.
fn ms(samples: usize) -> f64 {
    (samples as f64 * 1e9 / f64::from(RATE)).round() / 1e6
}

fn json_line(found: &impl Serialize) -> String {
    // Numbers and strings always serialize.
    serde_json::to_string(found).unwrap_or_default() + "\n"
}

fn text(found: &Inspected) -> String {
    let mut text = format!("{}\n", found.file);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<17}{value}");
    };
    line("length", format!("{:.1} ms", found.length_ms));
    line(
        "active level",
        format!("{:.1} dBFS", found.active_level_dbfs),
    );
    let (start, end) = (found.speech_start_ms, found.speech_end_ms);
    line("speech", format!("{start:.3} to {end:.3} ms"));
    line(
        "trailing silence",
        format!("{:.1} ms", found.trailing_silence_ms),
    );
    let pauses: Vec<String> = found
        .pauses
        .iter()
        .map(|pause| format!("{:.0} ms at {:.0} ms", pause.length_ms, pause.start_ms))
        .collect();
    let none = || "none over 100 ms".to_owned();
    line(
        "pauses",
        if pauses.is_empty() {
            none()
        } else {
            pauses.join(", ")
        },
    );
    let annotated = match found.annotated_speech_end_ms {
        Some(at) => format!(
            "speech ends at {at:.3} ms, {:+.3} ms from the measured end",
            at - end
        ),
        None => "none".to_owned(),
    };
    line("annotation", annotated);
    text
}

/// Writes the sidecar next to its file, atomically.
fn write(path: &Path, found: &Inspected, text: Option<&str>, force: bool) -> Result<(), Trouble> {
    let sidecar = Sidecar {
        version: 1,
        speech_start_ms: found.speech_start_ms,
        speech_end_ms: found.speech_end_ms,
        pauses: found
            .pauses
            .iter()
            .filter(|pause| pause.length_ms >= SHORTEST_PAUSE.as_secs_f64() * 1e3)
            .map(|pause| WrittenPause {
                start_ms: pause.start_ms,
                end_ms: ((pause.start_ms + pause.length_ms) * 1e6).round() / 1e6,
            })
            .collect(),
        text,
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let written =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|mut file| {
            file.write_all(json_line(&sidecar).as_bytes())?;
            file.as_file().sync_all()?;
            readable_by_all(file.as_file())?;
            let kept = if force {
                file.persist(path)
            } else {
                file.persist_noclobber(path)
            };
            kept.map(drop).map_err(|e| e.error)
        });
    written.map_err(|e| {
        let hint = match e.kind() {
            ErrorKind::AlreadyExists => "the file is unchanged; `--force` replaces it",
            ErrorKind::StorageFull => "the disk is full; no partial file was left behind",
            _ => "check that its folder is writable; no partial file was left behind",
        };
        let message = format!("cannot write `{}`: {e}", path.display());
        Trouble::new(Exit::Error, message, hint)
    })
}

/// Temporary files are private to their owner; a sidecar must be readable by everybody.
fn readable_by_all(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

fn unreadable(path: &Path, error: &Error) -> Trouble {
    let message = format!("cannot read `{}`: {error}", path.display());
    Trouble::new(Exit::Usage, message, "pass the paths of sound files")
}

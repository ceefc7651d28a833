//! What the host asks the guest to do, and how that ends.

use crate::codec::{Malformed, Reader, Writer, malformed};

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program (searched in `PATH`) and its arguments; the first is the program's name.
    Arguments(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is run.
    pub program: Program,
    /// The directory in which it starts; the agent's home directory if none is given.
    pub directory: Option<String>,
    /// Variables that it has besides the agent's own: names and values.
    pub environment: Vec<(String, String)>,
    /// A terminal of this size instead of pipes: all output is then [`Stream::Output`](crate::Stream::Output).
    pub terminal: Option<Size>,
    /// After how many milliseconds it is ended; 0 for never.
    pub time_limit_ms: u64,
}

impl Command {
    /// A line for the shell, without a limit.
    pub fn shell(line: impl Into<String>) -> Self {
        Self {
            program: Program::Shell(line.into()),
            directory: None,
            environment: Vec::new(),
            terminal: None,
            time_limit_ms: 0,
        }
    }
}

/// What the host asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Run a command.
    Run(Command),
    /// Write a file, which appears under its name when it is complete.
    Put {
        /// Where it goes; a path that is not absolute begins at the agent's home directory.
        path: String,
        /// Its permissions, as in `chmod`; the lowest 12 bits.
        mode: u32,
        /// How many bytes it will have.
        size: u64,
    },
    /// Read a file.
    Get {
        /// Where it is; a path that is not absolute begins at the agent's home directory.
        path: String,
    },
    /// Set the clock.
    SetClock {
        /// Microseconds since 1970.
        unix_micros: i64,
    },
    /// Tell how the guest does.
    Report,
}

/// What the guest tells when it has started an operation that has streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// A command.
    Command {
        /// Its process.
        pid: u32,
    },
    /// Writing of a file.
    Put,
    /// Reading of a file.
    Get {
        /// How many bytes it has, as far as that is known beforehand: a hint. Those in `/proc` say 0.
        size: u64,
        /// Its permissions: the lowest 12 bits of its mode.
        mode: u32,
    },
}

/// How the guest does. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Memory in all.
    pub memory_total: u64,
    /// Memory that programs can still get.
    pub memory_available: u64,
    /// Swap space in all.
    pub swap_total: u64,
    /// Swap space that is free.
    pub swap_free: u64,
    /// The load of the last 1, 5 and 15 minutes, in hundredths.
    pub load_hundredths: [u32; 3],
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// Processors that are online.
    pub processors: u32,
    /// Processes and threads.
    pub tasks: u32,
    /// The guest's clock: microseconds since 1970.
    pub unix_micros: i64,
}

/// How an operation ended in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ended by itself.
    Exited {
        /// Its status, 0 to 255.
        status: u8,
    },
    /// A signal ended the command.
    Signalled {
        /// Its number.
        signal: u8,
    },
    /// The command reached its time limit and was ended.
    TimedOut,
    /// The host cancelled it, and nothing of it is left.
    Cancelled,
    /// A file was written.
    Stored,
    /// A file was read to its end.
    Sent {
        /// How many bytes it had.
        size: u64,
    },
    /// The clock is set.
    ClockSet,
    /// How the guest does.
    Reported(Report),
    /// It could not be done.
    Failed {
        /// The error's number in Linux, or 0.
        errno: i32,
        /// What was expected, and what was found.
        message: String,
    },
}

fn write_size(writer: &mut Writer, size: Size) {
    writer.u16(size.rows).u16(size.columns);
}

pub(crate) fn read_size(reader: &mut Reader<'_>) -> Result<Size, Malformed> {
    let size = Size {
        rows: reader.u16()?,
        columns: reader.u16()?,
    };
    if size.rows == 0 || size.columns == 0 {
        return malformed("a window with rows and columns");
    }
    Ok(size)
}

impl Operation {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Run(command) => {
                writer.u8(1);
                match &command.program {
                    Program::Arguments(words) => writer.u8(0).texts(words.iter().map(String::as_str)),
                    Program::Shell(line) => writer.u8(1).text(line),
                };
                match &command.directory {
                    None => writer.u8(0),
                    Some(directory) => writer.u8(1).text(directory),
                };
                writer.u32(command.environment.len() as u32);
                for (name, value) in &command.environment {
                    writer.text(name).text(value);
                }
                writer.u8(command.terminal.is_some().into());
                if let Some(size) = command.terminal {
                    write_size(writer, size);
                }
                writer.u64(command.time_limit_ms);
            }
            Self::Put { path, mode, size } => {
                writer.u8(2).text(path).u32(*mode).u64(*size);
            }
            Self::Get { path } => {
                writer.u8(3).text(path);
            }
            Self::SetClock { unix_micros } => {
                writer.u8(4).i64(*unix_micros);
            }
            Self::Report => {
                writer.u8(5);
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.u8()? {
            1 => Self::Run(read_command(reader)?),
            2 => Self::Put {
                path: reader.text()?,
                mode: reader.u32()?,
                size: reader.u64()?,
            },
            3 => Self::Get { path: reader.text()? },
            4 => Self::SetClock {
                unix_micros: reader.i64()?,
            },
            5 => Self::Report,
            _ => return malformed("an operation of this version"),
        })
    }
}

fn read_command(reader: &mut Reader<'_>) -> Result<Command, Malformed> {
    let program = match reader.u8()? {
        0 => Program::Arguments(reader.texts()?),
        1 => Program::Shell(reader.text()?),
        _ => return malformed("arguments or a shell's line"),
    };
    if matches!(&program, Program::Arguments(words) if words.is_empty()) {
        return malformed("the name of a program");
    }
    let directory = match reader.u8()? {
        0 => None,
        _ => Some(reader.text()?),
    };
    let mut environment = Vec::new();
    for _ in 0..reader.u32()? {
        let (name, value) = (reader.text()?, reader.text()?);
        if name.is_empty() || name.contains('=') {
            return malformed("a variable's name");
        }
        environment.push((name, value));
    }
    let terminal = match reader.u8()? {
        0 => None,
        _ => Some(read_size(reader)?),
    };
    Ok(Command {
        program,
        directory,
        environment,
        terminal,
        time_limit_ms: reader.u64()?,
    })
}

impl Started {
    pub(crate) fn write(self, writer: &mut Writer) {
        match self {
            Self::Command { pid } => writer.u8(1).u32(pid),
            Self::Put => writer.u8(2),
            Self::Get { size, mode } => writer.u8(3).u64(size).u32(mode),
        };
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.u8()? {
            1 => Self::Command { pid: reader.u32()? },
            2 => Self::Put,
            3 => Self::Get {
                size: reader.u64()?,
                mode: reader.u32()? & 0o7777,
            },
            _ => return malformed("a start of this version"),
        })
    }
}

impl Report {
    fn write(&self, writer: &mut Writer) {
        for size in [
            self.memory_total,
            self.memory_available,
            self.swap_total,
            self.swap_free,
        ] {
            writer.u64(size);
        }
        for load in self.load_hundredths {
            writer.u32(load);
        }
        writer
            .u64(self.uptime_ms)
            .u32(self.processors)
            .u32(self.tasks)
            .i64(self.unix_micros);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            memory_total: reader.u64()?,
            memory_available: reader.u64()?,
            swap_total: reader.u64()?,
            swap_free: reader.u64()?,
            load_hundredths: [reader.u32()?, reader.u32()?, reader.u32()?],
            uptime_ms: reader.u64()?,
            processors: reader.u32()?,
            tasks: reader.u32()?,
            unix_micros: reader.i64()?,
        })
    }
}

impl Outcome {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Exited { status } => writer.u8(1).u8(*status),
            Self::Signalled { signal } => writer.u8(2).u8(*signal),
            Self::TimedOut => writer.u8(3),
            Self::Cancelled => writer.u8(4),
            Self::Stored => writer.u8(5),
            Self::Sent { size } => writer.u8(6).u64(*size),
            Self::ClockSet => writer.u8(7),
            Self::Reported(report) => {
                report.write(writer.u8(8));
                writer
            }
            Self::Failed { errno, message } => writer.u8(9).i32(*errno).text(message),
        };
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.u8()? {
            1 => Self::Exited { status: reader.u8()? },
            2 => Self::Signalled { signal: reader.u8()? },
            3 => Self::TimedOut,
            4 => Self::Cancelled,
            5 => Self::Stored,
            6 => Self::Sent { size: reader.u64()? },
            7 => Self::ClockSet,
            8 => Self::Reported(Report::read(reader)?),
            9 => Self::Failed {
                errno: reader.i32()?,
                message: reader.text()?,
            },
            _ => return malformed("an outcome of this version"),
        })
    }

    /// Whether this can be the end of such an operation.
    pub(crate) fn fits(&self, operation: &Operation) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Cancelled => !matches!(operation, Operation::SetClock { .. } | Operation::Report),
            Self::Exited { .. } | Self::Signalled { .. } | Self::TimedOut => {
                matches!(operation, Operation::Run(_))
            }
            Self::Stored => matches!(operation, Operation::Put { .. }),
            Self::Sent { .. } => matches!(operation, Operation::Get { .. }),
            Self::ClockSet => matches!(operation, Operation::SetClock { .. }),
            Self::Reported(_) => matches!(operation, Operation::Report),
        }
    }
}

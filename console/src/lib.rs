//! How programs print. The macros of the standard library panic when whoever read the output has gone, as `head` has
//! after some lines. Here a program whose results nobody reads ends quietly, and notes that nobody reads are dropped.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::exit;

/// The status with which a program ends whose standard output is not read any more: that of a program ended by SIGPIPE,
/// as a shell reports it. Not 0: the program is not done.
pub const NOT_READ: u8 = 128 + 13;

/// Prints a line to the standard output, at once. If nobody reads it any more the program ends here with
/// [`NOT_READ`]: nothing that is held is dropped.
///
/// # Errors
/// It cannot be written for another reason; the disk is full, for example.
pub fn print(line: impl Display) -> io::Result<()> {
    match write_line(io::stdout(), line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(NOT_READ.into()),
        result => result,
    }
}

/// Prints a line to the standard output. Ends the program if that is not possible, with [`NOT_READ`] or 1.
pub fn print_or_exit(line: impl Display) {
    if let Err(error) = print(line) {
        tell(format_args!("cannot write to the standard output: {error}"));
        exit(1);
    }
}

/// Writes a line to the standard error, if anybody reads it.
pub fn tell(line: impl Display) {
    let _ = write_line(io::stderr(), line);
}

fn write_line(mut to: impl Write, line: impl Display) -> io::Result<()> {
    writeln!(to, "{line}")?;
    to.flush()
}

/// `println!` by [`print_or_exit`].
#[macro_export]
macro_rules! out {
    ($($arg:tt)*) => { $crate::print_or_exit(format_args!($($arg)*)) };
}

/// `eprintln!` by [`tell`].
#[macro_export]
macro_rules! note {
    ($($arg:tt)*) => { $crate::tell(format_args!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_read_is_an_error_and_no_panic() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(write_line(&writer, "read").is_ok());
        drop(reader);
        let error = write_line(&writer, "not read").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

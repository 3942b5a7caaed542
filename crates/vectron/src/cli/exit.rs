//! How a command ends: exit codes that scripts rely on, and errors that people can act on.

use std::fmt::Write;
use vectron_client::{Code, Error};
use vectron_wire::fault_table::type_url;

/// Exit codes. They are part of the contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Any other error.
    Error = 1,
    /// The command line or a setting is wrong.
    Usage = 2,
    /// Collection or point is not there.
    NotFound = 3,
    /// Credentials are missing or not enough.
    Authentication = 4,
    /// Another configuration or version is in the way.
    Conflict = 5,
    /// Not now; the same command may succeed later.
    Unavailable = 6,
    /// Some items failed, others succeeded.
    Partial = 7,
    /// A check found a problem.
    CheckFailed = 8,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

/// Why a command did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// Code of the contract, if a server said so.
    pub code: Option<Code>,
    /// What happened; empty when everything has been said already.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// The id to quote in a report.
    pub request_id: Option<String>,
}

/// Result of a command's part.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with a sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, code: None, message: message.into(), fix: None, request_id: None }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An ordinary error.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Exit::Error, message)
    }

    /// An end without another word.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The same failure with advice.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The text for stderr; empty for a silent failure.
    pub fn render(&self, color: bool) -> String {
        if self.message.is_empty() {
            return String::new();
        }
        let code = self.code.map_or(String::new(), |code| format!("[{code}]"));
        let (on, off) = if color { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        let mut text = format!("{on}error{code}{off}: {}\n", self.message);
        if let Some(fix) = &self.fix {
            let _ = writeln!(text, "  fix: {fix}");
        }
        if let Some(code) = self.code {
            let _ = writeln!(text, "  about: {}", type_url(code));
        }
        if let Some(id) = &self.request_id {
            let _ = writeln!(text, "  request: {id}");
        }
        text
    }
}

/// The exit code of a contract code.
pub fn exit_of(code: Code) -> Exit {
    match code {
        Code::NotFound => Exit::NotFound,
        Code::Unauthenticated | Code::Forbidden => Exit::Authentication,
        Code::AlreadyExists | Code::VersionMismatch | Code::IdempotencyKeyReused | Code::UnsafeOperation => {
            Exit::Conflict
        }
        Code::DiskFull
        | Code::RateLimited
        | Code::Overloaded
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::StalenessUnmet => Exit::Unavailable,
        Code::InvalidArgument | Code::TooLarge | Code::Internal => Exit::Error,
    }
}

fn advice(error: &Error) -> Option<String> {
    let text = match error.code() {
        Code::NotFound if error.fault.detail.starts_with("collection") => {
            "`vectron collections list` shows what is there"
        }
        Code::Unauthenticated => "give --key KEY or set VECTRON_API_KEY",
        Code::DiskFull => "free space on that node; reads and deletes go on meanwhile",
        Code::RateLimited | Code::Overloaded => "try again later, or with less at once",
        _ => return None,
    };
    Some(text.into())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let fix = advice(&error);
        let mut message = error.fault.detail;
        // With one field at fault the detail says it already.
        if error.fault.errors.len() > 1 {
            for field in &error.fault.errors {
                let _ = write!(message, "\n  {}: {}", field.field, field.reason);
            }
        }
        Self {
            exit: exit_of(error.fault.code),
            code: Some(error.fault.code),
            message,
            fix,
            request_id: error.request_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_exit_that_scripts_can_tell() {
        assert_eq!(exit_of(Code::NotFound) as u8, 3);
        assert_eq!(exit_of(Code::Forbidden) as u8, 4);
        assert_eq!(exit_of(Code::AlreadyExists) as u8, 5);
        for code in Code::ALL {
            assert_ne!(exit_of(code), Exit::Ok, "{code}");
            if code.retryable() {
                assert_eq!(exit_of(code), Exit::Unavailable, "{code}");
            }
        }
    }

    #[test]
    fn an_error_reads_as_what_fix_and_where() {
        let mut error = Error::local(Code::NotFound, "collection 'docs' does not exist");
        error.request_id = Some("r-1".into());
        let text = Failure::from(error).render(false);
        assert_eq!(
            text,
            "error[not_found]: collection 'docs' does not exist\n  fix: `vectron collections list` shows what is \
             there\n  about: https://vectron.dev/problems/not-found\n  request: r-1\n"
        );
        assert_eq!(Failure::silent(Exit::Partial).render(true), "");
    }
}

//! The one list of what can go wrong, as the outside sees it: a word for programs, an HTTP status and an exit code. Each
//! error says its kind; nobody else translates.

/// How a command ends. The numbers are part of the interface; errors follow the BSD `sysexits` where these fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done; for `check`: no drift; for `verify`: identical; for `may-trade`: yes.
    Ok = 0,
    /// `check`: a warning. Elsewhere: something waits for a person.
    Warning = 1,
    /// `check`: critical drift.
    Critical = 2,
    /// `verify`: replay and record differ; a dry run: decisions differ.
    Different = 3,
    /// The host says no: `may-trade`, a state, a safeguard.
    No = 4,
    /// The command line is wrong.
    Usage = 64,
    /// Something that was given is wrong: a row, a file, a name.
    Data = 65,
    /// Something that was asked for is not there.
    Missing = 66,
    /// The host cannot be reached, is overloaded or is closing; try again.
    Unavailable = 69,
    /// The host is broken: its fold has stopped or its data are damaged.
    Broken = 70,
    /// A file or directory cannot be read or written, or the disk is full.
    Files = 74,
    /// Another host has the data directory.
    Locked = 75,
    /// Whoever asks may not.
    NotAllowed = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl ExitCode {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Warning,
        Self::Critical,
        Self::Different,
        Self::No,
        Self::Usage,
        Self::Data,
        Self::Missing,
        Self::Unavailable,
        Self::Broken,
        Self::Files,
        Self::Locked,
        Self::NotAllowed,
        Self::Config,
    ];

    /// By its number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u8 == number)
    }
}

/// Declares the kinds with their words, statuses and exit codes in one table, so that none is without.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal, $status:literal, $exit:ident;)*) => {
        /// What kind of thing went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// By its word.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }

            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The word for programs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// The exit code of a command that meets it.
            pub fn exit_code(self) -> ExitCode {
                match self { $(Self::$kind => ExitCode::$exit,)* }
            }
        }
    };
}

kinds! {
    /// Something that was given is wrong.
    Invalid = "invalid", 400, Data;
    /// Who asks has not said who it is.
    Unauthenticated = "unauthenticated", 401, NotAllowed;
    /// Who asks may not.
    Forbidden = "forbidden", 403, NotAllowed;
    /// A page of another origin asks.
    Origin = "origin", 403, NotAllowed;
    /// The operator does not let a policy in.
    Untrusted = "untrusted", 403, Data;
    /// There is no such thing.
    NotFound = "not-found", 404, Missing;
    /// The path knows other methods.
    Method = "method", 405, Usage;
    /// The answer cannot be had in that form.
    NotAcceptable = "not-acceptable", 406, Usage;
    /// The request took too long to come.
    Timeout = "timeout", 408, Usage;
    /// A row contradicts one that is there.
    Conflict = "conflict", 409, Data;
    /// A safeguard, or the state that a thing is in, says no.
    Refused = "refused", 409, No;
    /// Another host has the data directory.
    Locked = "locked", 409, Locked;
    /// The stage that a version is in does not allow it.
    WrongStage = "wrong-stage", 409, No;
    /// A version is in use.
    InUse = "in-use", 409, No;
    /// A version is protected.
    Protected = "protected", 409, No;
    /// There is no version to go back to.
    NoPrevious = "no-previous", 409, No;
    /// The place is taken.
    Occupied = "occupied", 409, No;
    /// What was shown is not what there is any more.
    Stale = "stale", 409, No;
    /// Somebody has answered already.
    Answered = "answered", 409, No;
    /// The plan does not say so.
    NotInPlan = "not-in-plan", 409, No;
    /// A version that is only tried would act on the one that serves.
    OtherArm = "other-arm", 409, No;
    /// The files of a version are not what they were.
    ArtifactChanged = "artifact-changed", 409, No;
    /// The files of a version are not there.
    ArtifactMissing = "artifact-missing", 409, No;
    /// What it is about has gone for good.
    Gone = "gone", 410, Missing;
    /// What was shown is not what there is.
    Precondition = "precondition", 412, Data;
    /// The body is larger than any request needs.
    TooLarge = "too-large", 413, Data;
    /// The body is of another type.
    MediaType = "content-type", 415, Usage;
    /// The request is for another host.
    Misdirected = "host", 421, Usage;
    /// It reads well and cannot be done.
    Unprocessable = "unprocessable", 422, Data;
    /// The configuration is wrong.
    Config = "config", 422, Config;
    /// Something else has to be done first.
    Prerequisite = "prerequisite", 424, Unavailable;
    /// The host is overloaded; nothing was kept.
    Busy = "busy", 429, Unavailable;
    /// The header block is too large.
    Headers = "headers", 431, Usage;
    /// A mistake of this program.
    Bug = "bug", 500, Broken;
    /// What is stored cannot be used.
    Damaged = "damaged", 500, Broken;
    /// The fold has given up.
    Stopped = "stopped", 500, Broken;
    /// A file or directory cannot be read or written.
    Files = "files", 500, Files;
    /// What is stored is of another program or of a newer build.
    Unsupported = "unsupported", 500, Data;
    /// The host cannot be reached.
    Unavailable = "unavailable", 503, Unavailable;
    /// The host is closing.
    Closing = "closing", 503, Unavailable;
    /// Another host owns this part of the log by now.
    NotOwner = "not-owner", 503, Unavailable;
    /// The database fails.
    Storage = "storage", 503, Files;
    /// The disk is full.
    Full = "full", 507, Files;
}

/// An error that knows its kind.
pub trait HasKind {
    /// Which.
    fn kind(&self) -> ErrorKind;

    /// The row of the request that it is about, from 1.
    fn row(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_share_a_word_and_every_exit_code_is_known() {
        let mut words: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert!((400..600).contains(&kind.status()), "{kind:?}");
            assert_eq!(ExitCode::from_number(kind.exit_code() as u8), Some(kind.exit_code()));
        }
    }

    /// Whoever may send again finds a status that says so: no error that passes is final, and the other way round.
    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for kind in ErrorKind::ALL {
            let passes = matches!(kind.status(), 424 | 429 | 503) && *kind != ErrorKind::Storage;
            assert_eq!(kind.exit_code() == ExitCode::Unavailable, passes, "{kind:?}");
        }
    }
}

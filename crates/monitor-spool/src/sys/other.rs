//! Stub for systems without a spool. Opening a spool returns an error.

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::NonNull;

use super::Status;

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there is no spool on this system"))
}

#[derive(Debug)]
pub(crate) struct Kept(std::convert::Infallible);

impl Kept {
    pub(crate) fn new(_: File) -> io::Result<Self> {
        unsupported()
    }

    pub(crate) fn get(&self) -> io::Result<&File> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Dir(std::convert::Infallible);

impl Dir {
    pub(crate) fn make_all(_: &Path) -> io::Result<()> {
        unsupported()
    }

    pub(crate) fn open(_: &Path) -> io::Result<Self> {
        unsupported()
    }

    pub(crate) fn open_in(&self, _: &str) -> io::Result<Self> {
        match self.0 {}
    }

    pub(crate) fn renamed(self, _: std::path::PathBuf) -> Self {
        match self.0 {}
    }

    pub(crate) fn path(&self) -> &Path {
        match self.0 {}
    }

    pub(crate) fn status(&self) -> io::Result<Status> {
        match self.0 {}
    }

    pub(crate) fn make_in(&self, _: &str) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn new_file(&self, _: &str) -> io::Result<File> {
        match self.0 {}
    }

    pub(crate) fn file(&self, _: &str, _: bool) -> io::Result<File> {
        match self.0 {}
    }

    pub(crate) fn status_in(&self, _: &str) -> io::Result<Status> {
        match self.0 {}
    }

    pub(crate) fn rename_in(&self, _: &str, _: &str) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn remove_file(&self, _: &str) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn remove_dir(&self, _: &str) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        match self.0 {}
    }
}

/// Returns the name of this machine.
pub(crate) fn hostname() -> String {
    String::new()
}

pub(crate) fn file_status(_: &File) -> io::Result<Status> {
    unsupported()
}

pub(crate) fn allocate(_: &File, _: u64) -> io::Result<()> {
    unsupported()
}

pub(crate) fn try_lock(_: &File) -> io::Result<bool> {
    unsupported()
}

pub(crate) fn is_locked(_: &File) -> io::Result<bool> {
    unsupported()
}

pub(crate) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    unsupported()
}

pub(crate) fn write_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
    unsupported()
}

pub(crate) fn populate(_: NonNull<u8>, _: usize) -> io::Result<()> {
    unsupported()
}

/// # Safety
/// Never called, because no mapping can exist.
#[allow(unsafe_code, reason = "the form that it has elsewhere")]
pub(crate) unsafe fn detach(_: NonNull<u8>, _: usize) -> io::Result<u64> {
    unsupported()
}

#[derive(Debug)]
pub(crate) struct Mapping(std::convert::Infallible);

impl Mapping {
    pub(crate) fn new(_: &File, _: usize, _: bool) -> io::Result<Self> {
        unsupported()
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        match self.0 {}
    }

    pub(crate) fn bytes(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn into_raw(self) -> NonNull<u8> {
        match self.0 {}
    }

    /// # Safety
    /// Never called, because no mapping can exist.
    #[allow(unsafe_code, reason = "the form that it has elsewhere")]
    pub(crate) unsafe fn from_raw(_: NonNull<u8>, _: usize) -> Self {
        unreachable!("nothing was mapped")
    }
}

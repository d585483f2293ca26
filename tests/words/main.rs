//! Texts of the command line, compared with files: the help of each command, and typical errors.
//! `UPDATE_EXPECT=1 cargo nextest run -p monitor-tests --test words` writes the files.
#![cfg(target_os = "linux")]

mod errors;
mod help;

//! Runs that outlive whoever asked for them.

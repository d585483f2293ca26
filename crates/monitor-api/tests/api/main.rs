//! The client against the real server and against what may stand in its place, by real sockets.

mod calls;
mod hostile;
mod proxies;
mod stream;
mod stream_hostile;
mod support;
mod tls;

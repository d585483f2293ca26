//! Tests the client against the real server and against faulty servers, by real sockets.

mod calls;
mod hostile;
mod proxies;
mod stream;
mod stream_hostile;
mod support;
mod tls;

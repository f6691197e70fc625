//! The thin shell: sockets.

//! The least that a refusal can cost: receives, answers an INVITE 403 with its own rows, drops all else. Reads nothing, decides
//! nothing, remembers nothing, counts nothing. What it costs is the kernel's price of two messages in and one out.

use std::net::UdpSocket;

fn main() {
    let address = std::env::args().nth(1).expect("an address to bind");
    let socket = UdpSocket::bind(address).expect("a free address");
    let (mut buffer, mut answer) = ([0_u8; 65_536], Vec::with_capacity(4096));
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let message = &buffer[..length];
        if !message.starts_with(b"INVITE ") {
            continue;
        }
        answer.clear();
        answer.extend_from_slice(b"SIP/2.0 403 No\r\n");
        for row in message.split_inclusive(|&octet| octet == b'\n').skip(1).take_while(|row| *row != b"\r\n") {
            match row.get(..3) {
                Some(b"Via" | b"Fro" | b"Cal" | b"CSe") => answer.extend_from_slice(row),
                Some(b"To:") => {
                    answer.extend_from_slice(&row[..row.len() - 2]);
                    answer.extend_from_slice(b";tag=bare\r\n");
                }
                _ => {}
            }
        }
        answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        // Whoever is gone has no use for it.
        let _ = socket.send_to(&answer, from);
    }
}

"""One trunk that floods: flood.py MEANS SECONDS. Says at the end what it sent and what it was told, by status code.

It speaks from fifty addresses of its network, as a carrier with many gateways would, so that no bound of one address is what
holds it. Sends to 127.0.10.1 alone, for a bounded time."""

import random
import select
import socket
import sys
import time

PROXY = ("127.0.10.1", 5060)
HOST = "mallory.eu.sip.example.com"
ELSEWHERE = "mallory.us.sip.example.com"
ADDRESSES = ["127.0.31.%d" % last for last in range(1, 51)]
# Requests a second: more than the bounds of the trunk let through, and less than the machine's whole CPU.
RATES = {"calls": 2000, "large": 500, "refused": 2000, "dialog": 1000, "names": 500, "odd": 2000, "connections": 300, "targets": 300}


def invite(number, host, source, extra=""):
    sdp = "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8\r\n" % (source, source)
    return (
        "INVITE sip:1@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;rport;branch=z9hG4bKm%s\r\nFrom: <sip:m@x>;tag=m%s\r\nTo: <sip:1@%s>\r\n"
        "Call-ID: m%s\r\nCSeq: 1 INVITE\r\nContact: <sip:m@%s>\r\nMax-Forwards: 70\r\n%sContent-Type: application/sdp\r\n"
        "Content-Length: %d\r\n\r\n%s" % (host, source, number, number, host, number, source, extra, len(sdp), sdp)
    ).encode()


def inside(number, uri, source, route, tag):
    return (
        "INFO %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;rport;branch=z9hG4bKi%s\r\nRoute: %s\r\nFrom: <sip:m@x>;tag=mcall\r\n"
        "To: <sip:1@%s>%s\r\nCall-ID: mcall\r\nCSeq: %d INFO\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        % (uri, source, number, route, HOST, tag, number + 2)
    ).encode()


def established(sock):
    """One answered call: its route, the server's Contact and the server's tag."""
    sock.settimeout(5)
    sock.sendto(invite("call", HOST, ADDRESSES[0]), PROXY)
    while True:
        text = sock.recv(65535).decode("latin1")
        if text.startswith("SIP/2.0 200"):
            rows = dict(line.split(": ", 1) for line in text.split("\r\n\r\n")[0].split("\r\n")[1:] if ": " in line)
            return rows["Record-Route"], rows["Contact"].strip("<>"), rows["To"][rows["To"].index(">") + 1 :]


def main():
    means, seconds = sys.argv[1], float(sys.argv[2])
    sockets = []
    for address in ADDRESSES:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 5060))
        sockets.append(sock)
    route = contact = tag = ""
    if means in ("dialog", "names", "targets"):
        route, contact, tag = established(sockets[0])
    for sock in sockets:
        sock.setblocking(False)
    odd = [b"Via: SIP/2.0/UDP ;;;\r\n", b"CSeq: x\r\n", b"Content-Length: -1\r\n", b"From: <sip:<sip:a>\r\n", b"\0\r\n", b""]
    held, told, sent, start = [], {}, 0, time.monotonic()
    rate = RATES[means]
    while (now := time.monotonic()) < start + seconds:
        while sent < (now - start) * rate:
            which = sent % len(ADDRESSES)
            source, sock, number = ADDRESSES[which], sockets[which], sent
            if means == "calls":
                message = invite(number, HOST, source)
            elif means == "large":
                message = invite(number, HOST, source, "".join("X-Load-%d: %s\r\n" % (row, "x" * 4000) for row in range(7)))
            elif means == "refused":
                message = invite(number, ELSEWHERE, source)
            elif means == "dialog":
                message, sock = inside(number, contact, ADDRESSES[0], route, tag), sockets[0]
            elif means == "names":
                message, sock = inside(number, "sip:x@n%d.example.net" % number, ADDRESSES[0], route, tag), sockets[0]
            elif means == "targets":
                uri = "sip:x@127.0.10.%d:5060;transport=tcp" % random.randrange(10, 250)
                message, sock = inside(number, uri, ADDRESSES[0], route, tag), sockets[0]
            elif means == "odd":
                message = invite(number, HOST, source).replace(b"Max-Forwards: 70\r\n", random.choice(odd))
            else:
                stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                stream.setblocking(False)
                stream.bind((source, 0))
                stream.connect_ex(PROXY)
                held.append(stream)
                message = None
            if message:
                sock.sendto(message, PROXY)
            sent += 1
        readable, _, _ = select.select(sockets, [], [], 0.002)
        for sock in readable:
            try:
                code = sock.recv(65535)[8:11].decode("latin1")
            except OSError:
                continue
            told[code] = told.get(code, 0) + 1
        if len(held) > 4000:
            held.pop(0).close()
    print("sent %d; told %s" % (sent, ", ".join("%s: %d" % pair for pair in sorted(told.items())) or "nothing"))


main()

"""Binds a UDP and a TCP socket as a systemd socket unit does, and runs a program on them: one process after the other.

    hold.py ADDRESS PORT PROGRAM ARGUMENT...

Each line on standard input is an order: `restart` ends the process by SIGTERM, waits for it and starts the next one. The end of
the input ends it. Says `started` with the id of each process.
"""

import os
import signal
import socket
import subprocess
import sys

address, program = (sys.argv[1], int(sys.argv[2])), sys.argv[3:]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# ReceiveBuffer= of the unit; what systemd uses as well, for the limit of the system does not hold for it.
SO_RCVBUFFORCE = 33
udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
udp.bind(address)
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(address)
tcp.listen(1024)


def start():
    script = 'exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ LISTEN_FDS=2 exec "$@"'
    return subprocess.Popen(["sh", "-c", script, "sh", *program], stdin=udp, stdout=tcp)


process = start()
print("started", process.pid, flush=True)
for order in sys.stdin:
    if order.strip() != "restart":
        sys.exit(f"restart, not {order!r}")
    process.send_signal(signal.SIGTERM)
    status = process.wait()
    if status:
        sys.exit(f"ended with {status}")
    process = start()
    print("started", process.pid, flush=True)
process.send_signal(signal.SIGKILL)
process.wait()

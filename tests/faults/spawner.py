"""Starts programs and measures their memory: a process counts what its parent had when it began, so the parent must be
small. Imports nothing large; started by attacks.py as `python3 -I -S spawner.py DESCRIPTOR`, of a socket on which
requests come: (arguments, environment, directory, descriptors to close, seconds), with standard input, output and error.
The answers are (status as of wait4, kilobytes at most, whether it ended by itself)."""

import marshal
import os
import select
import signal
import socket
import sys


def spawn(arguments, environment, directory, closed, descriptors):
    process = os.fork()
    if process:
        return process
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        for number in closed:
            os.close(number)
        os.chdir(directory)
        os.execve(arguments[0], arguments, environment)
    finally:
        os._exit(127)


def main():
    wire = socket.socket(fileno=int(sys.argv[1]))
    wire.set_inheritable(False)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    while True:
        length, descriptors, _, _ = socket.recv_fds(wire, 8, 3)
        if not length:
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        request = b""
        size = int.from_bytes(length, "little")
        while len(request) < size:
            request += wire.recv(size - len(request))
        arguments, environment, directory, closed, seconds = marshal.loads(request)
        process = spawn(arguments, environment, directory, closed, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        watched = os.pidfd_open(process)
        ready, _, _ = select.select([watched], [], [], seconds)
        if not ready:
            os.kill(process, signal.SIGKILL)
        _, status, usage = os.wait4(process, 0)
        os.close(watched)
        wire.sendall(marshal.dumps((status, usage.ru_maxrss, bool(ready))))


if __name__ == "__main__":
    main()

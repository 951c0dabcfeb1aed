#!/usr/bin/python3
"""Clients that mean harm, all at once and for as long as is wanted, against `sluice serve`.

    tests/server/clients/hostile.py build/release/cli/sluice MODEL --minutes 10

Senders of a byte a second, readers that do not read, connections half closed and reset, pipelined, oversized and
mutated requests, deep nesting, prompts of 10 MB, invalid UTF-8, noise, WebSocket frames that are none, and
requests that are left at random moments, next to honest clients whose answers must stay what they are.
Ends with 1 when the server ends, answers an honest client wrongly or not, keeps a request or a connection, grows
(median memory of the last third of the time against the third before), or says a sanitizer's word; and, with
--times X, when honest clients wait longer than X times what they wait alone (their median; the hostile ones of this
script want the same cores). With a build of the `asan` preset, leaks are told at the end."""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

# Seconds that everything has: only what fails anyway takes so long.
PATIENCE = 240
# So many answers to honest clients and looks at memory are there before anything is judged.
FEWEST_ANSWERS, FEWEST_LOOKS = 2, 9

COMPLETION = {"prompt": "the", "max_tokens": 8, "temperature": 0}


def post(path, body, more=""):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


REQUESTS = [
    post("/v1/completions", {"prompt": [[1, 2, 3]], "max_tokens": 1, "logprobs": 1, "echo": True, "n": 2}),
    post("/v1/completions", {"prompt": "the c\u00e4t", "max_tokens": 3, "stream": True, "stop": ["a", "b"]}),
    post("/completion", {"prompt": "a", "n_predict": 2, "logit_bias": [[3, -1.5]]}),
    post("/v1/score", {"lines": ["the cat", "a"], "words": True, "alternatives": 3}),
    post("/v1/rescore", {"hypotheses": [{"text": "a", "score": -1}, "b"], "weight": 0.5}),
    post("/v1/next", {"text": "the c", "n": 3}),
    post("/tokenize", {"content": "a b", "with_pieces": True}),
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:at + rng.randint(1, 8)]
        elif kind == 2:
            data[at:at] = data[at:at + rng.randrange(40)]
        elif kind == 3:
            data[at:at] = rng.choice([b"[", b"{", b'"', b"\\", b"\x80", b" ", b"9"]) * rng.randrange(60)
        else:
            del data[max(at, 1):]
    return bytes(data)


class Run:
    """A server, and clients until a deadline, and until there is something to judge by."""

    def __init__(self, port, seed):
        self.port, self.rng = port, random.Random(seed)
        self.deadline = 0.0
        self.counts = {}
        self.waits = []
        self.memory = []
        self.ended = False
        self.expected = None
        self.wrong = []

    def over(self):
        enough = len(self.waits) >= FEWEST_ANSWERS and len(self.memory) >= FEWEST_LOOKS
        return self.ended or (enough and time.monotonic() > self.deadline)

    async def connect(self, buffer=None):
        connected = socket.socket()
        if buffer:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=connected)

    @staticmethod
    async def read(reader, seconds):
        """What comes until the other end closes, or for so long."""
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while piece := await reader.read(1 << 16):
                    data += piece
        except TimeoutError:
            pass
        return data

    @staticmethod
    def reset(writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                   struct.pack("ii", 1, 0))
        writer.transport.abort()

    # The hostile: each does its harm once, over a new connection.
    async def slow_sender(self, reader, writer):
        for byte in REQUESTS[0]:
            if self.over():
                break
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)
        await self.read(reader, 1)

    async def slow_reader(self, reader, writer):
        writer.write(post("/v1/completions", {"prompt": "the", "max_tokens": 1000, "stream": True}))
        for _ in range(5):
            await reader.read(10)
            await asyncio.sleep(self.rng.uniform(0.5, 2))
        self.reset(writer)

    async def half_closer(self, reader, writer):
        request = self.rng.choice(REQUESTS)
        writer.write(request[:self.rng.randint(1, len(request))])
        writer.write_eof()
        await self.read(reader, 2)

    async def resetter(self, reader, writer):
        writer.write(self.rng.choice(REQUESTS))
        await writer.drain()
        await asyncio.sleep(self.rng.uniform(0, 0.05))
        self.reset(writer)

    async def pipeliner(self, reader, writer):
        writer.write(b"".join(self.rng.choices(REQUESTS, k=20)))
        await self.read(reader, 2)

    async def mutator(self, reader, writer):
        for _ in range(10):
            writer.write(mutated(self.rng, self.rng.choice(REQUESTS)))
        await self.read(reader, 0.3)

    async def giant(self, reader, writer):
        kind = self.rng.randrange(4)
        if kind == 0:
            writer.write(post("/v1/completions", {"prompt": "the cat " * 1310720}))
        elif kind == 1:
            writer.write(post("/v1/score", b"[" * 200000))
        elif kind == 2:
            writer.write(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n")
        else:
            writer.write(post("/v1/completions", b'{"prompt":"\xff\xfe\xc0","max_tokens":1}'))
        await self.read(reader, 2)

    async def noise(self, reader, writer):
        writer.write(self.rng.choice([b"\x16\x03\x01\x02\x00\x01", b""]) + self.rng.randbytes(300))
        await self.read(reader, 1)

    async def leaver(self, reader, writer):
        writer.write(post("/v1/completions", {"prompt": "the", "max_tokens": 1000, "n": 2,
                                              "stream": self.rng.random() < 0.5}))
        await writer.drain()
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        self.reset(writer) if self.rng.random() < 0.5 else writer.close()

    async def keyboard(self, reader, writer):
        writer.write(b"GET /v1/session HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        for _ in range(20):
            text = json.dumps({"append": self.rng.choice("abc "), "n": 2}).encode()
            masked = b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text
            writer.write(masked if self.rng.random() < 0.9 else self.rng.randbytes(20))
            await writer.drain()
            await asyncio.sleep(0.02)
        await self.read(reader, 0.2)

    async def harm(self, kind, pause):
        name = kind.__name__
        self.counts.setdefault(name, 0)
        await asyncio.sleep(self.rng.uniform(0, pause))
        while not self.over():
            try:
                reader, writer = await self.connect(4096 if name == "slow_reader" else None)
                try:
                    await kind(reader, writer)
                finally:
                    writer.close()
            except (ConnectionError, OSError):
                pass  # as the server pleases
            self.counts[name] += 1
            await asyncio.sleep(pause)

    async def honest(self):
        """Asks over and over, and must get the same answer each time."""
        while not self.over():
            begun = time.monotonic()
            try:
                reader, writer = await self.connect()
                writer.write(post("/v1/completions", COMPLETION, "Connection: close\r\n"))
                answer = await self.read(reader, PATIENCE)
                writer.close()
                choices = json.loads(answer.split(b"\r\n\r\n", 1)[1])["choices"]
                self.expected = self.expected or choices
                if choices != self.expected:
                    self.wrong.append(f"{choices} for {self.expected}")
            except (ConnectionError, OSError, ValueError, IndexError, KeyError) as error:
                self.wrong.append(repr(error))
            self.waits.append(time.monotonic() - begun)
            await asyncio.sleep(0.1)

    async def run(self, seconds, hostile, watch):
        self.deadline = time.monotonic() + seconds
        self.waits, self.memory = [], []
        tasks = [self.honest() for _ in range(2)]
        if hostile:
            tasks += [self.harm(self.slow_sender, 1) for _ in range(hostile)]
            for kind in (self.slow_reader, self.half_closer, self.resetter, self.pipeliner, self.mutator,
                         self.giant, self.noise, self.leaver, self.keyboard):
                tasks += [self.harm(kind, 0.5) for _ in range(4)]
        tasks.append(watch(self))
        await asyncio.gather(*tasks)
        return statistics.median(self.waits) if self.waits else float("nan")


def metric(port, name):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connected:
        connected.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        page = b""
        while piece := connected.recv(1 << 16):
            page += piece
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([\d.e+-]+)$", page.decode(), re.M)
    return sum(map(float, found))


def becomes(port, name, value):
    end = time.monotonic() + PATIENCE
    while metric(port, name) != value:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def resident(process):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def attack(options, process, port):
    """What is to be said against the server."""
    run = Run(port, options.seed)

    async def watch(of):
        while not of.over():
            of.ended = process.poll() is not None
            if not of.ended:
                of.memory.append(resident(process))
            await asyncio.sleep(min(1, options.seconds / 30))

    alone = await run.run(max(2, min(20, options.seconds / 5)), 0, watch)
    under = await run.run(options.seconds, options.slow, watch)
    print(f"honest clients: {1e3 * alone:.1f} ms alone, {1e3 * under:.1f} ms among the hostile: "
          f"{under / alone:.1f} times; {len(run.waits)} answers")
    print("harm done: " + ", ".join(f"{count} {name}" for name, count in run.counts.items()))
    faults = [f"honest clients got {len(run.wrong)} wrong answers, the first: {run.wrong[0]}"] if run.wrong else []
    if options.times and under > options.times * alone:
        faults.append(f"honest clients waited {under / alone:.1f} times as long as alone")
    if process.poll() is not None:
        return [*faults, f"the server ended with {process.returncode}"]
    memory = run.memory
    third = len(memory) // 3
    before, after = (statistics.median(memory[i * third:(i + 1) * third]) for i in (1, 2))
    print(f"memory: {memory[0]:.1f} MB at first, {before:.1f} MB in the second third, {after:.1f} MB in the last")
    if options.seconds >= 60 and after > 1.05 * before + 4:
        faults.append(f"memory grew from {before:.1f} to {after:.1f} MB")
    for name, left in (("sluice_requests_running", 0), ("sluice_requests_waiting", 0),
                       ("sluice_http_open_requests", 1), ("sluice_http_connections", 1),
                       ("sluice_session_bytes", 0)):
        if not becomes(port, name, left):
            faults.append(f"{name} stays at {metric(port, name):.0f}")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--slow", type=int, default=500, help="senders of a byte a second (500)")
    parser.add_argument("--times", type=float, help="honest clients may wait so many times as long")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.seconds = 60 * options.minutes
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([options.program, "serve", options.model, "--port", "0", "--log", "none",
                                    "--max-sessions", "16"], stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            address = re.search(r":(\d+)/", process.stdout.readline())
            if address is None:
                said.seek(0)
                sys.exit(f"hostile: the server did not start: {said.read().decode(errors='replace').strip()}")
            port = int(address[1])
            faults = asyncio.run(attack(options, process, port))
            process.send_signal(signal.SIGTERM)
            if process.wait(timeout=PATIENCE) != 0:
                faults.append(f"the server ended with {process.returncode}")
        finally:
            process.kill()
        said.seek(0)
        complaint = said.read().decode(errors="replace")
    if re.search("Sanitizer|runtime error", complaint):
        faults.append(complaint)
    for fault in faults:
        print(f"hostile: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

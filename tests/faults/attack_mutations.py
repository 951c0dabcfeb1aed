"""What is done to files and flags in attacks.py."""

import copy
import json
import os
import struct

NUMBERS = [0, -1, 1, 2, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -2**63, 1e-400, 1e300,
           1e400, -1e300, 0.5, -0.5, 1e-310]
TEXTS = ["", " ", "\n", "\x00", "\x1b[31m", "a" * 100, "a" * 100_000, "\u202e\u200b", "\ud7ff", "<script>attack()</script>",
         "</script><script>attack", "../../../../etc/passwd", "/dev/zero", "glu", "[(4,2)]*999999999", "[(1,1)]", "nan", "inf", "-",
         "'\"`$(x)", "%s%n", "{}{0}", "null", "\u20ac" * 50]


def odd_number(rng):
    return rng.choice(NUMBERS)


def odd_value(rng):
    """What a flag is given."""
    values = ["0", "-1", "1", "2", "3", "1e400", "-1e400", "1e-400", "nan", "inf", "-inf", "9223372036854775807",
              "9223372036854775808", "-9223372036854775808", "18446744073709551616", "1e18", "0x10", "1e9", "1.5", "--", "-",
              "", " ", "\u0664", "\x1b[31m", "a" * 5000, "\udcff\udc80", "/dev/zero", "/dev/null", "/", ".", "..", "none", "all",
              "a,b", ",", "=", "a=b", "a=1e400", "1,2,3", "[(4,2)]*3", "[(99999999999,9999)]", "[(4,2)]*9999999999", "[", "(" * 500,
              "tanh(" * 200, "leaky_relu(nan)(a)*b", "elu(1e300)(a)*b", "*", "[a-", "\\", "1h", "1e400s", "-5m", "5", "10gbit",
              "0gbit", "1e300gbit", "50us", "group", "batch", "adaptive", "char", "bpe", "byte", "lstm", "transformer"]
    return rng.choice(values)


def mutate_json_value(rng, document):
    """A JSON document with a few nodes changed."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = []

        def walk(node):
            items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
            for key, value in list(items):
                places.append((node, key))
                walk(value)

        walk(document)
        if not places:
            return rng.choice([None, [], {}, 1, "a", [document] * 3])
        node, key = rng.choice(places)
        old = node[key]
        way = rng.randrange(9)
        if way == 0:
            node[key] = odd_number(rng)
        elif way == 1:
            node[key] = rng.choice(TEXTS)
        elif way == 2:
            node[key] = rng.choice([None, True, [], {}, [[]], {"a": []}, [1, 2, 3], ["a"] * 50])
        elif way == 3:
            del node[key]
        elif way == 4 and isinstance(node, dict):
            node[rng.choice(TEXTS[:12] + ["extra"])] = node.pop(key)
        elif way == 5 and isinstance(old, (int, float)) and not isinstance(old, bool):
            node[key] = rng.choice([-old, old + 1, old * 10, old / 3, old * 1e300])
        elif way == 6 and isinstance(old, list) and old:
            node[key] = rng.choice([old[:-1], old + old, old[::-1], old * 30])
        elif way == 7 and isinstance(old, str):
            node[key] = rng.choice([old * 2, old[:-1], old + "\x00", old.upper(), old + "'", old + "<script>attack"])
        else:
            other, other_key = rng.choice(places)
            node[key] = copy.deepcopy(other[other_key]) if other_key in other or isinstance(other, list) else 1
    return document


def written(document):
    try:
        return json.dumps(document).replace("Infinity", "1e999").encode()
    except (ValueError, RecursionError):
        return b"{}"


def mutate_safetensors(rng, data):
    """A header that says something else; without its checksums, which would tell."""
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8:
        return None
    try:
        header = json.loads(data[8:8 + length])
    except ValueError:
        return None
    way = rng.randrange(4)
    metadata = header.get("__metadata__", {})
    if isinstance(metadata, dict) and rng.random() < 0.8:
        for key in ("xxh3_64", "header_xxh3_64"):
            metadata.pop(key, None)
    rest = bytearray(data[8 + length:])
    if way == 0 and rest:  # numbers that are none, or large
        at = rng.randrange(len(rest) // 4 + 1) * 4
        rest[at:at + 4] = rng.choice([b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00"])
    elif way == 1 and isinstance(metadata, dict) and metadata:  # documents within
        key = rng.choice(sorted(metadata))
        try:
            metadata[key] = written(mutate_json_value(rng, json.loads(metadata[key]))).decode()
        except ValueError:
            metadata[key] = rng.choice(TEXTS)
    else:
        header = mutate_json_value(rng, header)
    text = written(header)
    text += b" " * rng.choice((-(8 + len(text)) % 64, -(8 + len(text)) % 8, rng.randrange(9)))
    return struct.pack("<Q", len(text)) + text + bytes(rest[:-4] if rng.random() < 0.1 else rest)


def damage(rng, data):
    """Bytes changed, moved, lost; what was done."""
    data = bytearray(data)
    way = rng.randrange(10)
    at = rng.randrange(len(data) + 1)
    if way in (0, 1) and data:
        at = min(at, len(data) - 1)
        data[at] ^= 1 << rng.randrange(8)
        return bytes(data), f"bit flipped in byte {at}"
    if way == 2 and data:
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data), "bytes changed"
    if way == 3:
        return bytes(data[:at]), f"cut at {at}"
    if way == 4:
        return bytes(data) + rng.choice([b"\0" * 100, bytes(data[:at]), b"\n", b"x"]), "longer"
    if way == 5:
        return bytes(data[:at] + data[at + rng.randrange(1, 64):]), f"bytes gone at {at}"
    if way == 6:
        return bytes(data[:at] + data[max(0, at - 200):at] + data[at:]), f"bytes doubled at {at}"
    if way == 7:
        return bytes(data[:at]) + struct.pack("<Q", rng.choice([0, 1, 2**31, 2**63 - 1, 2**64 - 1])) + bytes(data[at + 8:]), f"a number at {at}"
    if way == 8:
        return b"", "empty"
    lines = bytes(data).split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines), "lines shuffled"


def mutate_text(rng, data):
    """Lines with what readers of text do not expect."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(lines))
        words = lines[at].split(b" ")
        word = rng.randrange(len(words))
        odd = rng.choice([*(text.encode("utf-8", "surrogatepass") for text in TEXTS), *(str(number).encode() for number in NUMBERS), b"\xff\xfe",
                          b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\t", b"|||", b"\\data\\", b"\\end\\", b"a " * 5000, b"1e999",
                          b"nan", b"-inf", b"x" * 1_000_000])
        way = rng.randrange(5)
        if way == 0:
            words[word] = odd
        elif way == 1:
            words.insert(word, odd)
        elif way == 2:
            words.pop(word)
        elif way == 3:
            lines.insert(at, odd)
            continue
        else:
            lines.insert(at, lines[rng.randrange(len(lines))])
            continue
        lines[at] = b" ".join(words)
    return b"\n".join(lines)


def replace_file(rng, path, precious):
    """Something else in a file's place."""
    way = rng.randrange(7)
    os.remove(path)
    if way == 0:
        return "gone"
    if way == 1:
        os.mkdir(path)
        return "a directory"
    if way == 2:
        os.mkfifo(path)
        return "a pipe"
    if way == 3:
        os.symlink(precious, path)
        return "a link to another file"
    if way == 4:
        os.symlink(os.path.basename(path), path)
        return "a link to itself"
    if way == 5:
        os.symlink("/dev/zero", path)
        return "a link to /dev/zero"
    with open(path, "wb") as file:
        file.truncate(3 << 30)
    return "3 GB of zeros"


def mutate_file(rng, path, precious):
    """Changes the file; says what was done, and whether only bytes were damaged."""
    if rng.random() < 0.06:
        return replace_file(rng, path, precious), True
    with open(path, "rb") as file:
        data = file.read()
    name = os.path.basename(path)
    changed = None
    faithful = False
    if rng.random() < 0.6:
        if name.endswith(".safetensors"):
            changed = mutate_safetensors(rng, data)
        elif name.endswith(".json"):
            try:
                changed = written(mutate_json_value(rng, json.loads(data)))
                if rng.random() < 0.05:
                    changed = changed[:-1] + b"[" * 100_000
            except ValueError:
                pass
        elif name.endswith(".jsonl"):
            lines = data.split(b"\n")
            at = rng.randrange(len(lines))
            try:
                lines[at] = written(mutate_json_value(rng, json.loads(lines[at])))
                changed = b"\n".join(lines)
            except ValueError:
                pass
        elif name.endswith((".txt", ".arpa", ".tsv")):
            changed = mutate_text(rng, data)
    said = "another meaning"
    if changed is None:
        changed, said = damage(rng, data)
        faithful = True
    with open(path, "wb") as file:
        file.write(changed)
    return said, faithful

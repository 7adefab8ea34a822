#!/usr/bin/env python3
"""Lists and decrypts what a folder cloud holds; written from the format pages of the book alone.

usage: strongroom_reader.py KEY_FILE CLOUD_FOLDER   (the key: the root secret, 64 hexadecimal digits)
Prints a line of JSON for each object, and one with the digest of each writer's newest restore point.
It needs nothing but Python and, for zstd, the package `zstandard` or the program `zstd`."""
import base64, hashlib, hmac, json, pathlib, struct, subprocess, sys

def check(good, what):
    if not good: raise ValueError(what)
# Keys and envelope: envelope-v1.
def mac(key, data): return hmac.new(key, data, hashlib.sha256).digest()
def derive(secret, label, size=32): return mac(mac(bytes(32), secret), b"strongroom/v1/" + label + b"\1")[:size]

def rounds(words):
    x = list(words)
    for a, b, c, d in 10 * ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
        for i, j, k, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[i] = x[i] + x[j] & 0xFFFFFFFF
            y = x[k] ^ x[i]
            x[k] = (y << turn | y >> 32 - turn) & 0xFFFFFFFF
    return x
def xchacha20_poly1305(key, nonce, bound, data, tag):
    sigma = struct.unpack("<4I", b"expand 32-byte k")
    subkey = rounds(sigma + struct.unpack("<8I", key) + struct.unpack("<4I", nonce[:16]))
    def block(counter):
        words = *sigma, *subkey[:4], *subkey[12:], counter, 0, *struct.unpack("<2I", nonce[16:])
        return struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(rounds(words), words)))
    r, s = (int.from_bytes(half, "little") for half in (block(0)[:16], block(0)[16:32]))
    lengths, total = struct.pack("<2Q", len(bound), len(data)), 0
    message = b"".join(part + bytes(-len(part) % 16) for part in (bound, data, lengths))
    for at in range(0, len(message), 16):
        total += int.from_bytes(message[at:at + 16] + b"\1", "little")
        total = total * (r & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF) % (2**130 - 5)
    check((total + s & 2**128 - 1).to_bytes(16, "little") == tag, "damaged, or in the wrong place")
    stream = b"".join(block(1 + n) for n in range(len(data) // 64 + 1))
    return bytes(a ^ b for a, b in zip(data, stream))

def open_envelope(key, parts, sealed):
    check(len(sealed) >= 82 and sealed[:6] == b"SRen\1\1", "damaged, or too new")
    label, nonce = b"envelope-commitment", sealed[6:30]
    check(derive(derive(key, label), label + nonce) == sealed[30:62], "wrong key")
    bound = b"\1\1" + b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return xchacha20_poly1305(derive(key, b"envelope-encryption"), nonce, bound, sealed[66:-16], sealed[-16:])

# Encoding: segment-v1. A type is a function that reads its value from the bytes that are left.
class Rest:
    def __init__(self, data): self.data, self.at = data, 0
    def take(self, n):
        check(n <= len(self.data) - self.at, "ends too early")
        self.at += n
        return self.data[self.at - n:self.at]
def number(n): return lambda rest: int.from_bytes(rest.take(n), "little")
def fixed(n): return lambda rest: rest.take(n)
def many(of): return lambda rest: [of(rest) for _ in range(u64(rest))]
def maybe(of): return lambda rest: of(rest) if {0: False, 1: True}[u8(rest)] else None
def pair(one, two): return lambda rest: (one(rest), two(rest))
def record(**fields): return lambda rest: {name: of(rest) for name, of in fields.items()}
def variants(*of): return lambda rest: (lambda n: (n, of[n](rest)))(u32(rest))
def raw(of): return lambda rest: (lambda at: {**of(rest), "raw": rest.data[at:rest.at]})(rest.at)
def blob(rest): return rest.take(u64(rest))
def text(rest): return blob(rest).decode()
u8, u32, u64, id16, id32 = number(1), number(4), number(8), fixed(16), fixed(32)

# Plaintexts: segment-v1, dump-v1, head-v1; references: object-names-v1.
ref = record(kind=u32, writer=id16, epoch=u32, start=u64, end=u64, part=u32, hash=id32)
link = record(parts=many(ref), previous=id32)
content = variants(blob, record(offset=u64, total=u64, piece=blob), maybe(record(time=u64, counter=u32, writer=id16)))
entry = raw(record(name=record(primary=text, secondary=text, key=text), content=content))
more = many(pair(u32, blob))
kept = record(index=ref, base=maybe(ref), time=u64, sealed=u64)
store = record(primary=text, secondary=text, entries=u64, bytes=u64)
position = record(writer=id16, sequence=u64, segment=id32, head=ref)
KINDS = {
    "h": record(time=u64, sequence=u64, dump=ref, newest=maybe(link), previous=maybe(ref), seen=many(ref), more=more),
    "s": record(parts=u32, previous=maybe(link), time=pair(u64, u64), merge=many(entry), single=many(entry), more=more),
    "d": record(entries=many(entry)),
    "i": record(parts=many(ref), newest=maybe(link), time=pair(u64, u64), entries=u64, bytes=u64, digest=id32,
                base=maybe(ref), sealed=u64, stores=many(store), older=many(kept), more=more),
    "f": record(epoch=u32, writer=id16, put=id16, session=id16, time=u64, clouds=u32, by=u32, at=maybe(position),
                deposed=many(record(writer=id16, epoch=u32, sequence=u64)), more=more)}
CLASSES = {"h": b"head", "s": b"segment", "d": b"dump-part", "i": b"dump-index"}
def unzstd(data, size):
    try: import zstandard
    except ImportError: return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
def unpack(packed, of):
    size, compressed = struct.unpack("<2Q", packed[:16])
    e = (16 + compressed).bit_length() - 1
    padding = -(16 + compressed) % (1 << e - e.bit_length())
    check(size <= 64 << 20 and packed[16 + compressed:] == bytes(padding), "damaged")
    value = of(rest := Rest(unzstd(packed[16:16 + compressed], size)))
    check(rest.at == size == len(rest.data), "goes on after its last field")
    return value
def b32(data): return base64.b32encode(data).decode().lower().rstrip("=")
def name_of(r): return "%s/%s/%010d-%020d-%020d-%010d-%s" % (
    "hsdi"[r["kind"]], b32(r["writer"]), r["epoch"], r["start"], r["end"], r["part"], b32(r["hash"]))

class Wallet:
    def __init__(self, root, cloud):
        self.content, self.digest = derive(root, b"backup-content"), derive(root, b"backup-digest")
        self.id, self.opened = derive(root, b"wallet-id", 16), {}
        self.folder = pathlib.Path(cloud, "sr1", b32(derive(root, b"cloud-tag", 16)))
    def open(self, name, previous=bytes(32)):
        if name not in self.opened:
            sealed, bound = (self.folder / name).read_bytes(), [b"strongroom/v1/fixed", self.id, b"fence"]
            if name != "f":
                letter, writer, (*numbers, digest) = *name.split("/")[:2], name.split("/")[2].split("-")
                check(b32(hashlib.sha256(sealed).digest()) == digest, "damaged: " + name)
                place = [base64.b32decode(writer.upper() + "======"), *(struct.pack("<Q", int(n)) for n in numbers)]
                bound = [b"strongroom/v1/object", self.id, CLASSES[letter], *place, previous]
            self.opened[name] = unpack(open_envelope(self.content, bound, sealed), KINDS[name[0]])
        return self.opened[name]
    def segments(self, newest):  # the parts of each segment that is there, newest first
        while newest and all((self.folder / name_of(part)).exists() for part in newest["parts"]):
            parts = [self.open(name_of(part), newest["previous"]) for part in newest["parts"]]
            yield newest["parts"][0]["end"], parts
            newest = parts[0]["previous"]
    def dump(self, at):  # its entries, behind those of the dump it is based on
        found = self.open(name_of(at))
        entries = [e for part in found["parts"] for e in self.open(name_of(part))["entries"]]
        total = sum(int.from_bytes(mac(self.digest, e["raw"]), "little") for e in entries) % 2**256
        check(total.to_bytes(32, "little") == found["digest"], "the digest is not that of the parts")
        return (self.dump(found["base"]) if found["base"] else []) + entries
    def values(self, head):  # what a restore from this head gives
        segments = [parts for end, parts in self.segments(head["newest"]) if end > head["dump"]["start"]]
        parts, values = [part for parts in reversed(segments) for part in parts], {}
        for e in self.dump(head["dump"]) + [e for part in parts for e in part["merge"] + part["single"]]:
            name, (variant, it) = tuple(e["name"].values()), e["content"]
            if variant == 0: values[name] = it
            elif variant == 1: values[name] = (values[name] if it["offset"] else b"") + it["piece"]
            else: values.pop(name, None)
        return {name: it[29:] if name[0] in ("~records", "~fields") else it for name, it in values.items()}

if __name__ == "__main__":
    wallet, newest = Wallet(bytes.fromhex(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2]), {}
    names = sorted(path.relative_to(wallet.folder).as_posix() for path in wallet.folder.rglob("*") if path.is_file())
    for name in names:
        found = wallet.open(name) if name[0] != "s" else {}
        if name[0] == "h" and found["sequence"] >= newest.get(writer := name.split("/")[1], found)["sequence"]:
            newest[writer] = found  # names of one writer ascend
        for _ in wallet.segments(found.get("newest")): pass
    for name in names:
        print(json.dumps({"object": name, "opened": name in wallet.opened}))
    for writer, head in newest.items():
        values, counted = wallet.values(head), hashlib.sha256()  # digest-v1
        for part in (p for name in sorted(values) for p in (*map(str.encode, name), values[name])):
            counted.update(struct.pack("<I", len(part)) + part)
        print(json.dumps({"writer": writer, "sequence": head["sequence"], "digest": counted.hexdigest()}))

#!/usr/bin/env python3
"""Opens the golden objects with the reader beside this file, and compares them with the golden plaintexts.

usage: check_golden.py FOLDER   (crates/backup/tests/golden/v1)
Prints a line of JSON for each."""
import hashlib, json, pathlib, sys, tempfile
import strongroom_reader as reader

folder = pathlib.Path(sys.argv[1])
with tempfile.TemporaryDirectory() as cloud:
    wallet = reader.Wallet(bytes([7]) * 32, cloud)
    for sealed in sorted(folder.glob("*.sealed")):
        stem = sealed.stem
        if stem.endswith("-too-new"):
            try: reader.open_envelope(wallet.content, [], sealed.read_bytes())
            except ValueError as error: opened = "too new" in str(error)
            else: opened = False
            print(json.dumps({"golden": stem, "refused": opened}))
            continue
        place = pathlib.Path(cloud, (folder / f"{stem}.name").read_text().strip())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(sealed.read_bytes())
        name = place.relative_to(wallet.folder).as_posix()
        rest = reader.Rest((folder / f"{stem}.bin").read_bytes())
        plain = reader.KINDS[name[0]](rest)
        reader.check(rest.at == len(rest.data), "the plaintext goes on after its last field")
        previous = bytes(32)
        if name[0] == "s":
            previous = hashlib.sha256(b"".join(part["hash"] for part in plain["previous"]["parts"])).digest()
        print(json.dumps({"golden": stem, "class": name[0], "equal": wallet.open(name, previous) == plain}))

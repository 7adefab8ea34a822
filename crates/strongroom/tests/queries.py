#!/usr/bin/env python3
"""Answers the queries of the program by going through the JSON of the same blocks, as plainly as can be.

usage: queries.py data BLOCK..            prints records made from the blocks, for `import data`
       queries.py ask BLOCK..             prints queries, a list of arguments a line
       queries.py check ANSWERS BLOCK..   compares: each line of ANSWERS is [arguments, [answers]]

BLOCK is FILE or FILE=CHAIN, the chain of transactions that do not name theirs. Nothing here comes from the
program but the form of its output."""
import collections, datetime, json, sys


def number(text):
    return int(text, 16)


def transactions(blocks):
    for block in blocks:
        file, _, given = block.partition("=")
        body = json.load(open(file))
        body = body.get("result", body)
        for tx in body["transactions"]:
            v = number(tx["v"])
            chain = number(tx["chainId"]) if "chainId" in tx else (v - 35) // 2 if v >= 35 else int(given)
            yield {
                "chainId": chain, "hash": tx["hash"], "blockNumber": number(body["number"]),
                "timestamp": number(body["timestamp"]), "from": tx["from"], "to": tx["to"],
                "value": str(number(tx["value"])), "gasPrice": str(number(tx["gasPrice"])),
                "nonce": number(tx["nonce"]), "input": tx["input"],
            }


def newest_first(txs):
    return sorted(txs, key=lambda tx: (tx["timestamp"], tx["blockNumber"], tx["hash"]), reverse=True)


def account(tx, side):
    return f"eip155:{tx['chainId']}:{tx[side]}"


def records(txs):
    """Records of every other kind, made up from transactions."""
    for tx in txs:
        at = tx["timestamp"] * 1000 + tx["nonce"] % 1000
        origin = f"https://scan-{tx['chainId']}.example"
        page = f"{origin}/address/{tx['to'] or tx['from']}"
        yield "visits", {"id": tx["hash"], "url": page, "origin": origin, "start": at, "end": at + tx["nonce"] % 77}
        if tx["nonce"] % 2:
            yield "clicks", {"id": tx["hash"], "url": page, "origin": origin, "element": "#to", "time": at}
        asset = f"eip155:{tx['chainId']}/slip44:60"
        yield "balances", {"account": account(tx, "from"), "asset": asset, "amount": tx["value"],
                           "decimals": 18, "updated": at}
        if tx["to"] and tx["input"] != "0x":
            item = f"eip155:{tx['chainId']}/erc721:{tx['to']}/{tx['nonce']}"
            yield "nfts", {"account": account(tx, "from"), "asset": item, "amount": "1", "updated": at}
            yield "contracts", {"chainId": tx["chainId"], "contract": tx["to"],
                                "blockNumber": tx["blockNumber"], "updated": at}
        if tx["value"] != "0":
            yield "rewards", {"id": tx["hash"], "name": f"nonce {tx['nonce']}", "earned": at}
        if tx["to"] is None or tx["nonce"] == 0:
            yield "cohorts", {"id": tx["hash"], "rejected": at}


KEYS = {"visits": ["start", "id"], "clicks": ["time", "id"], "balances": ["account", "asset"],
        "nfts": ["account", "asset"], "contracts": ["chainId", "contract"], "rewards": ["id"], "cohorts": ["id"]}


def by_kind(txs):
    """Of two records with one key the later one stays."""
    kinds = {kind: {} for kind in KEYS}
    for kind, record in records(txs):
        kinds[kind][tuple(record[name] for name in KEYS[kind])] = record
    return {kind: list(found.values()) for kind, found in kinds.items()}


def busiest(txs, count):
    sides = collections.Counter((tx["chainId"], tx[side]) for tx in txs for side in ("from", "to") if tx[side])
    return [name for name, _ in sorted(sides.items(), key=lambda item: (-item[1], item[0]))[:count]]


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def queries(txs):
    busy = busiest(txs, 6)
    times = sorted({tx["timestamp"] for tx in txs})
    values = sorted(int(tx["value"]) for tx in txs)
    middle, all_of_them = str(values[len(values) * 3 // 4]), ["--limit", "1000"]
    accounts = [f"eip155:{chain}:{address}" for chain, address in busy]
    conditions = [
        [], ["--chain", "eip155:1"], ["--chain", "5"], ["--chain", "7"],
        ["--chain", "eip155:5", "--chain", "eip155:1"],
        ["--since", iso(times[1])], ["--until", iso(times[1])], ["--since", iso(times[0]), "--until", iso(times[2])],
        ["--min-value", middle], ["--max-value", middle], ["--min-value", "1", "--max-value", middle],
        ["--hash", txs[3]["hash"], "--hash", txs[-1]["hash"]], ["--hash", "0x" + "00" * 32],
        ["--hash", txs[3]["hash"], "--chain", "5"],
    ]
    conditions += [["--address", address] for _, address in busy]
    conditions += [["--account", name] for name in accounts]
    conditions += [["--account", accounts[0], "--account", accounts[-1], "--address", busy[2][1]],
                   ["--address", busy[0][1], "--min-value", middle], ["--account", accounts[1], "--until", iso(times[2])],
                   ["--address", busy[0][1], "--chain", "7"]]
    for condition in conditions:
        yield ["tx", "list"] + condition + all_of_them
        yield ["tx", "list"] + condition + ["--limit", "3"]
    yield ["tx", "list"]
    yield ["tx", "count"]
    yield ["tx", "flow"]
    yield ["tx", "flow", "--since", iso(times[1])]
    for name in accounts:
        yield ["tx", "latest", name]
        yield ["tx", "flow", "--account", name]
        yield ["balance", "list", "--account", name]
        yield ["nft", "list", "--account", name]
    for kind in ("balance", "nft", "contract", "reward", "cohort", "account"):
        yield [kind, "list"]
    kinds = by_kind(txs)
    page = collections.Counter(visit["url"] for visit in kinds["visits"]).most_common(1)[0][0]
    filters = [[], ["--url", page], ["--origin", kinds["visits"][0]["origin"]], ["--since", iso(times[1])],
               ["--origin", "https://scan-1.example", "--until", iso(times[1] + 1)], ["--limit", "5"]]
    for condition in filters:
        yield ["visit", "list"] + condition
        yield ["click", "list"] + condition
        yield ["visit", "count"] + condition
        yield ["visit", "count", "--by", "origin"] + condition
    for contract in kinds["contracts"][:3]:
        yield ["contract", "get", f"eip155:{contract['chainId']}", contract["contract"]]


def options(args):
    given = collections.defaultdict(list)
    for name, value in zip(args[::2], args[1::2]):
        given[name.removeprefix("--")].append(value)
    return given


def seconds(text):
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def linked(txs):
    return [f"eip155:{chain}:{address}" for chain, address in busiest(txs, 3)]


def of_filter(given, txs):
    chains = [int(chain.removeprefix("eip155:")) for chain in given["chain"]]
    def wanted(tx):
        sides = [tx["from"], tx["to"]]
        party = not (given["address"] or given["account"])
        party = party or any(address in sides for address in given["address"])
        party = party or any(account(tx, side) in given["account"] for side in ("from", "to"))
        return (party and (not chains or tx["chainId"] in chains)
                and (not given["hash"] or tx["hash"] in given["hash"])
                and all(tx["timestamp"] >= seconds(since) for since in given["since"])
                and all(tx["timestamp"] < seconds(until) for until in given["until"])
                and all(int(tx["value"]) >= int(least) for least in given["min-value"])
                and all(int(tx["value"]) <= int(most) for most in given["max-value"]))
    return newest_first(tx for tx in txs if wanted(tx))


def flow(given, txs):
    names = set(given["account"] or linked(txs))
    sides = {}
    for tx in txs:
        if any(tx["timestamp"] < seconds(since) for since in given["since"]):
            continue
        for side, name in (("incoming", "to"), ("outgoing", "from")):
            if account(tx, name) in names:
                nothing = {side: {"count": 0, "value": 0} for side in ("incoming", "outgoing")}
                total = sides.setdefault(tx["chainId"], nothing)[side]
                total["count"] += 1
                total["value"] += int(tx["value"])
    for total in (total for both in sides.values() for total in both.values()):
        total["value"] = str(total["value"])
    return [{"chain": f"eip155:{chain}", **both} for chain, both in sorted(sides.items())]


def activity(given, found, time):
    chosen = [one for one in found
              if all(one["url"] == url for url in given["url"]) and all(one["origin"] == o for o in given["origin"])
              and all(one[time] >= seconds(since) * 1000 for since in given["since"])
              and all(one[time] < seconds(until) * 1000 for until in given["until"])]
    chosen.sort(key=lambda one: (one[time], one["id"]), reverse=True)
    return chosen[:int(given["limit"][0])] if given["limit"] else chosen


def answer(args, txs):
    command, verb, *rest = args
    kinds = by_kind(txs)
    if command == "tx" and verb in ("list", "flow"):
        given = options(rest)
        if verb == "flow":
            return flow(given, txs)
        return of_filter(given, txs)[:int((given["limit"] or ["50"])[0])]
    if command == "tx" and verb == "latest":
        return of_filter(options(["--account", rest[0]]), txs)[:1]
    if command == "tx" and verb == "count":
        counts = collections.Counter(tx["chainId"] for tx in txs)
        return [{"chain": f"eip155:{chain}", "transactions": count} for chain, count in sorted(counts.items())]
    if command in ("visit", "click"):
        given = options(rest)
        chosen = activity(given, kinds[command + "s"], "start" if command == "visit" else "time")
        if verb == "list":
            return chosen
        counts = collections.Counter(one[given["by"][0] if given["by"] else "url"] for one in chosen)
        return [{"of": of, "visits": count} for of, count in sorted(counts.items())]
    if command in ("balance", "nft"):
        names = options(rest)["account"]
        return [one for one in kinds[command + "s"] if not names or one["account"] in names]
    if command == "contract" and verb == "get":
        chain, address = int(rest[0].removeprefix("eip155:")), rest[1]
        found = [one for one in kinds["contracts"] if (one["chainId"], one["contract"]) == (chain, address)]
        return [{name: one[name] for name in ("chainId", "contract", "blockNumber")} for one in found]
    if command == "reward":
        return sorted(kinds["rewards"], key=lambda one: (one["earned"], one["id"]), reverse=True)
    if command == "cohort":
        return sorted(kinds["cohorts"], key=lambda one: one["id"])
    if command == "account":
        return [{"id": name, "added": 1} for name in linked(txs)]
    return kinds[command + "s"]


# What the program orders by names with checksums, which need a hash that Python does not have.
UNORDERED = [["balance", "list"], ["nft", "list"], ["contract", "list"], ["account", "list"]]


def comparable(args, answers):
    lines = [json.dumps(one, sort_keys=True).lower() for one in answers]
    return sorted(lines) if args[:2] in UNORDERED else lines


def check(answers, txs):
    asked = compared = 0
    for line in open(answers):
        args, found = json.loads(line)
        expected, found = comparable(args, answer(args, txs)), comparable(args, found)
        if expected != found:
            sys.exit(f"{' '.join(args)}: the program found\n{found}\nand this script\n{expected}")
        asked, compared = asked + 1, compared + len(found)
    if asked != len(list(queries(txs))):
        sys.exit(f"only {asked} queries were answered")
    print(f"{asked} queries found {compared} answers, and agree")


def main():
    verb, *rest = sys.argv[1:]
    if verb == "check":
        return check(rest[0], list(transactions(rest[1:])))
    txs = list(transactions(rest))
    if verb == "ask":
        return [print(json.dumps(args)) for args in queries(txs)]
    for name in linked(txs):
        print(json.dumps({"kind": "accounts", "record": {"id": name, "added": 1}}))
    for kind, record in records(txs):
        print(json.dumps({"kind": kind, "record": record}))


main()

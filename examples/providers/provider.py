#!/usr/bin/env python3
"""A provider for remint (docs/protocol.md). Its service is a JSON file; put the calls of yours in its place."""
import datetime, fcntl, json, os, secrets, sys

class Failed(Exception):
    pass  # kind, message

def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

def described(row):
    return {key: row[key] for key in ("id", "name", "created", "expires") if key in row}

def answer(request, rows):
    verb = request.get("verb")
    if request.get("kind") != "provider":
        raise Failed("unsupported", "this program is a provider")
    if verb == "check":
        return {"can": ["identify"]}
    if verb == "mint":
        row = {"id": secrets.token_hex(8), "name": request["name"], "created": now().isoformat(), "secret": "py_" + secrets.token_hex(20)}
        if "life" in request:
            row["expires"] = (now() + datetime.timedelta(seconds=request["life"])).isoformat()
        rows.append(row)
        return {"token": described(row), "secret": row["secret"]}
    if verb == "list":
        return {"tokens": [described(row) for row in rows]}
    if verb == "identify":
        for row in rows:
            if secrets.compare_digest(row["secret"].encode(), request["secret"].encode()):
                return {"token": described(row)}
        raise Failed("denied", "no live token has this secret")
    if verb == "revoke":  # one that is gone already is no error
        rows[:] = [row for row in rows if row["id"] != request["token"]["id"]]
        return {}
    raise Failed("unsupported", "no verb %r" % verb)

def main():
    request = json.loads(sys.stdin.readline())  # one line; the input may never end
    try:
        path = request.get("with", {}).get("store")
        if not path:
            raise Failed("config", "say where the tokens are: with: {store: FILE}")
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as store:
            fcntl.flock(store, fcntl.LOCK_EX)
            rows = json.loads(store.read() or "[]")
            said = answer(request, rows)
            store.seek(0)
            store.truncate()
            json.dump(rows, store)
    except Failed as failed:
        said = {"error": {"kind": failed.args[0], "message": failed.args[1]}}
    except OSError as error:
        said = {"error": {"kind": "temporary", "message": "the store: %s" % error.strerror}}
    print(json.dumps({"remint": 1, **said}))

main()

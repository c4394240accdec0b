#!/usr/bin/env python3
"""A sink for remint (docs/protocol.md). Its place is a JSON file with a value and a marker; put yours in its place."""
import fcntl, json, os, sys

class Failed(Exception):
    pass  # kind, message

def answer(request, place):
    verb = request.get("verb")
    if request.get("kind") != "sink":
        raise Failed("unsupported", "this program is a sink")
    if verb == "check":
        return {"can": ["held", "mark", "read", "undo"]}
    now = place.get("now")
    if verb == "write":  # the same token twice is once
        if not now or now["token"]["id"] != request["token"]["id"]:
            place["before"] = now
        place["now"] = {"token": request["token"], "secret": request["secret"], "verified": False}
        return {}
    if verb == "held":
        return {"token": now["token"], "verified": now["verified"]} if now else {}
    if verb == "read":
        return {"secret": now["secret"]} if now else {}
    if verb == "mark":
        if not now or now["token"]["id"] != request["token"]["id"]:
            raise Failed("conflict", "it holds another token by now")
        now["verified"] = True
        return {}
    if verb == "undo":  # of the write of this token, and of no other
        if not now or now["token"]["id"] != request["token"]["id"] or "before" not in place:
            raise Failed("conflict", "it holds another token by now")
        place["now"] = place.pop("before")
        return {}
    raise Failed("unsupported", "no verb %r" % verb)

def main():
    request = json.loads(sys.stdin.readline())  # one line; the input may never end
    try:
        path = request.get("with", {}).get("file")
        if not path:
            raise Failed("config", "say where the credential goes: with: {file: FILE}")
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            place = json.loads(file.read() or "{}")
            said = answer(request, place)
            file.seek(0)
            file.truncate()
            json.dump(place, file)
    except Failed as failed:
        said = {"error": {"kind": failed.args[0], "message": failed.args[1]}}
    except OSError as error:
        said = {"error": {"kind": "temporary", "message": "the file: %s" % error.strerror}}
    print(json.dumps({"remint": 1, **said}))

main()

#!/bin/sh
# ParameterStatus comes right before ReadyForQuery only, and only if the value is not the one
# reported last.
#
# Package: postgresql-15 15.20-0+deb12u1 (Debian 12); pgseal has no part in it. PostgreSQL does so
# from version 14 on; before, a change was reported at once (from its history, not tried here).
#
# So the last ParameterStatus does not tell in which style an answer is written: a value that is
# set, used and set back before the next ReadyForQuery is never reported, neither is setting it
# back. A pooler that knows the parameters of a server by ParameterStatus alone knows them at
# ReadyForQuery, and at no other time.
#
# Seen (S: ParameterStatus, D: DataRow, C: CommandComplete, Z: ReadyForQuery; others are left out):
#
#   set: C SET, S IntervalStyle=iso_8601, Z
#   set back: C SET, S IntervalStyle=postgres, Z
#   set, used: C SET, D P1D, C SELECT 1, S IntervalStyle=iso_8601, Z
#   set to what it is: C SET, Z
#   set back, used, set again: C SET, D 1 day, C SELECT 1, C SET, Z
#   set back, used, set again, in a pipeline: C SET, D 1 day, C SELECT 1, C SET, Z
#   set back, used, answered after Flush: C SET, D 1 day, C SELECT 1
#   then set again: C SET, Z
#   what it is now: D P1D, C SELECT 1, Z
# shellcheck source=findings/lib/postgres.sh
. "$(dirname "$0")/lib/postgres.sh"

python3 - "$dir/.s.PGSQL.5432" "$PGUSER" <<'END'
import socket, struct, sys

SET, BACK = "SET IntervalStyle = iso_8601", "SET IntervalStyle = postgres"
USE = "SELECT interval '1 day'"
FLUSH, SYNC = b"H\0\0\0\4", b"S\0\0\0\4"
changed = False
server = socket.socket(socket.AF_UNIX)
server.settimeout(60)
server.connect(sys.argv[1])
answers = server.makefile("rb")


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def query(*statements):
    return message(b"Q", "; ".join(statements).encode() + b"\0")


def extended(*statements):
    """Parse, Bind and Execute of each, all of them unnamed, answers in text."""
    run = message(b"B", b"\0\0" + b"\0\0" * 3) + message(b"E", b"\0" + b"\0\0\0\0")
    return b"".join(message(b"P", b"\0" + text.encode() + b"\0\0\0") + run for text in statements)


def read_message():
    head = answers.read(5)
    return head[:1].decode(), answers.read(struct.unpack("!i", head[1:])[0] - 4)


def described(kind, body):
    if kind == "S":
        return "S " + "=".join(body.decode().split("\0")[:2])
    if kind == "D":
        return "D " + body[6:].decode()  # its only column
    return kind if kind == "Z" else kind + " " + body.rstrip(b"\0").decode().replace("\0", " ")


def read_until(last):
    seen = []
    while not seen or seen[-1] != last:
        kind, body = read_message()
        if kind in "SDCZE":
            seen.append(described(kind, body))
    return seen


def expect(what, wanted, sent):
    global changed
    server.sendall(sent)
    seen = ", ".join(read_until(wanted.split(", ")[-1]))
    print(f"{what}: {seen}")
    if seen != wanted:
        changed = True
        print(f"  CHANGED, it was: {wanted}")


start = b"user\0" + sys.argv[2].encode() + b"\0database\0postgres\0\0"
server.sendall(message(b"", struct.pack("!i", 3 << 16) + start))
if "S IntervalStyle=postgres" not in read_until("Z"):
    print("not tried: IntervalStyle is not postgres at the start", file=sys.stderr)
    sys.exit(2)
expect("set", "C SET, S IntervalStyle=iso_8601, Z", query(SET))
expect("set back", "C SET, S IntervalStyle=postgres, Z", query(BACK))
expect("set, used", "C SET, D P1D, C SELECT 1, S IntervalStyle=iso_8601, Z", query(SET, USE))
expect("set to what it is", "C SET, Z", query(SET))
expect("set back, used, set again", "C SET, D 1 day, C SELECT 1, C SET, Z", query(BACK, USE, SET))
expect("set back, used, set again, in a pipeline", "C SET, D 1 day, C SELECT 1, C SET, Z",
       extended(BACK, USE, SET) + SYNC)
expect("set back, used, answered after Flush", "C SET, D 1 day, C SELECT 1",
       extended(BACK, USE) + FLUSH)
expect("then set again", "C SET, Z", extended(SET) + SYNC)
expect("what it is now", "D P1D, C SELECT 1, Z", query(USE))
sys.exit(changed)
END

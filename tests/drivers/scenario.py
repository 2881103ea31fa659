"""What the Python programs share: scenarios by name, one block of output for each."""

import os
import sys
import zlib

SCHEMA = sys.argv[1]
# for advisory locks: one per copy of a program
KEY = zlib.crc32(SCHEMA.encode())
COUNT_LOCKS = (
    "select count(*) from pg_locks where locktype = 'advisory' and objid::bigint = %d" % KEY
)
SLEEPING = (
    "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
    " and query like '%%%s-sleeps%%'" % SCHEMA
)
SLEEP = "select /* %s-sleeps */ pg_sleep(10)" % SCHEMA
RAISE = (
    "do $$ begin raise notice 'first % of %', 1, 2; raise warning 'second';"
    " raise info 'third' using detail = 'with detail', hint = 'and hint'; end $$"
)

scenarios = []


def scenario(function):
    scenarios.append(function)
    return function


def show(*what):
    print(*what, flush=True)


def run(call):
    """Call each scenario by call(function); what it does not catch itself is a line of its block.

    ONLY in the environment: names of those that are wanted.
    """
    only = os.environ.get("ONLY", "").split()
    for function in scenarios:
        if only and function.__name__ not in only:
            continue
        show("==", function.__name__)
        try:
            call(function)
        except Exception as e:
            show("!!", type(e).__name__, str(e).strip())

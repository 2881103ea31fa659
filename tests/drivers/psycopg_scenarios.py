"""psycopg 3: everything prepared, few statements kept, pipelines, server-side cursors, binary."""

import threading
from contextlib import closing
from datetime import datetime, timezone
from decimal import Decimal

import psycopg
from psycopg import Rollback
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.json import Jsonb
from scenario import COUNT_LOCKS, KEY, RAISE, SCHEMA, SLEEP, SLEEPING, run, scenario, show


def connect(**options):
    """Every statement is prepared at once, and only five are kept."""
    conn = psycopg.connect("", prepare_threshold=0, autocommit=True, **options)
    conn.prepared_max = 5
    conn.add_notice_handler(lambda d: show("notice", d.severity, d.sqlstate, d.message_primary, d.message_detail))
    return conn


def show_error(e):
    show("error", type(e).__name__, e.sqlstate, e.diag.message_primary, e.diag.message_detail, e.diag.constraint_name)


def query(conn, sql, *values, binary=None):
    try:
        cur = conn.execute(sql, values or None, binary=bool(binary))
    except psycopg.Error as e:
        show_error(e)
        return False
    show(cur.statusmessage, cur.rowcount)
    if cur.description:
        for row in cur:
            show("  ", row)
    return True


@scenario
def types(conn):
    query(conn, "set time zone 'Asia/Kolkata'")
    query(conn, f"create table {SCHEMA}.types (i int, n numeric, t text, y bytea, z timestamptz, j jsonb, a text[])")
    row = (1, Decimal("1.50"), "å'\\", bytes(range(256)), datetime(2024, 2, 29, tzinfo=timezone.utc),
           Jsonb({"a": None}), ["x", None])
    sql = f"insert into {SCHEMA}.types values (%s, %s, %s, %s, %s, %s, %s) returning *"
    for binary in False, True:
        query(conn, sql, *row, binary=binary)
        query(conn, sql, *(None,) * 7, binary=binary)
        query(conn, f"select * from {SCHEMA}.types", binary=binary)
    query(conn, "set time zone 'Asia/Tokyo'")
    query(conn, f"select z, z::text from {SCHEMA}.types")


@scenario
def custom_types(conn):
    query(conn, f"create type {SCHEMA}.mood as enum ('sad', 'happy')")
    query(conn, f"create type {SCHEMA}.pair as (a int, b text)")
    info = EnumInfo.fetch(conn, f"{SCHEMA}.mood")
    register_enum(info, conn)
    pair = CompositeInfo.fetch(conn, f"{SCHEMA}.pair")
    register_composite(pair, conn)
    show(info.labels, pair.field_names)
    for _ in range(4):
        row = conn.execute(f"select 'sad'::{SCHEMA}.mood, row(1, 'x')::{SCHEMA}.pair").fetchone()
        show(row[0].name, row[1].a, row[1].b)


@scenario
def prepared_many_times(conn):
    for i in range(25):
        with conn.transaction():
            got = conn.execute("select %s::int + 1, %s::text", (i, f"v{i}")).fetchone()
            show(got == (i + 1, f"v{i}"))
        got = conn.execute("select %s::int * 2", (i,)).fetchone()
        show(got == (i * 2,))


@scenario
def evicted(conn):
    """Twelve statements in turns where five are kept: psycopg sends DEALLOCATE in between."""
    for i in range(60):
        k = i * 7 % 12
        got = conn.execute(f"select %s::int + {k}, '{k}'", (i,)).fetchone()
        show(got == (i + k, str(k)))


@scenario
def altered(conn):
    query(conn, f"create table {SCHEMA}.alt (a int)")
    query(conn, f"insert into {SCHEMA}.alt values (1)")
    query(conn, f"select * from {SCHEMA}.alt")
    query(conn, f"alter table {SCHEMA}.alt add column b text default 'new'")
    query(conn, f"select * from {SCHEMA}.alt")
    query(conn, f"select * from {SCHEMA}.alt")
    query(conn, "deallocate all")
    query(conn, f"select * from {SCHEMA}.alt")
    query(conn, f"alter table {SCHEMA}.alt drop column b")
    query(conn, f"select * from {SCHEMA}.alt where a = %s", 1)


@scenario
def discarded(conn):
    for what in "deallocate all", "discard all", "discard plans", "rollback":
        for i in range(3):
            query(conn, "select %s::int + 100", i)
        query(conn, what)
    query(conn, "select %s::int + 100", 9)


@scenario
def errors(conn):
    query(conn, "selec %s", 1)
    query(conn, f"create table {SCHEMA}.uniq (id int primary key)")
    for i in 1, 2, 1:
        query(conn, f"insert into {SCHEMA}.uniq values (%s)", i)
    query(conn, "select %s::int", "x")
    query(conn, "select 1 / %s", 0)
    query(conn, "begin")
    query(conn, "select 1 / %s", 0)
    query(conn, "select 1 / %s", 1)
    query(conn, "commit")
    query(conn, "select 1 / %s", 1)


@scenario
def nested_transactions(conn):
    query(conn, f"create table {SCHEMA}.nest (id int primary key)")
    with conn.transaction():
        query(conn, f"insert into {SCHEMA}.nest values (%s)", 1)
        with conn.transaction():
            query(conn, f"insert into {SCHEMA}.nest values (%s)", 2)
            raise Rollback()
        try:
            with conn.transaction("named"):
                conn.execute(f"insert into {SCHEMA}.nest values (%s)", (1,))
        except psycopg.Error as e:
            show_error(e)
        query(conn, f"insert into {SCHEMA}.nest values (%s)", 3)
    query(conn, f"select * from {SCHEMA}.nest order by 1")


@scenario
def pipelines(conn):
    query(conn, f"create table {SCHEMA}.pipe (id int primary key)")
    with conn.pipeline():
        curs = [conn.execute("select %s::int, %s::text", (i, "t")) for i in range(20)]
    show([c.fetchone() for c in curs])
    for bad in range(3):
        try:
            with conn.pipeline() as p:
                conn.execute(f"insert into {SCHEMA}.pipe values (%s)", (bad,))
                p.sync()
                conn.execute(f"insert into {SCHEMA}.pipe values (%s)", (bad,))
                conn.execute("select 'skipped'")
        except psycopg.Error as e:
            show_error(e)
        query(conn, f"select * from {SCHEMA}.pipe order by 1")
    with conn.pipeline(), conn.transaction():
        for i in range(10, 14):
            conn.execute(f"insert into {SCHEMA}.pipe values (%s)", (i,))
    query(conn, f"select count(*) from {SCHEMA}.pipe")


@scenario
def many_at_once(conn):
    query(conn, f"create table {SCHEMA}.many (id int, t text)")
    with conn.cursor() as cur:
        cur.executemany(f"insert into {SCHEMA}.many values (%s, %s)", [(i, str(i)) for i in range(500)])
        show(cur.rowcount)
        cur.executemany("select %s::int", [(i,) for i in range(5)], returning=True)
        while True:
            show(cur.fetchone())
            if not cur.nextset():
                break
    query(conn, f"select count(*), sum(id) from {SCHEMA}.many")


@scenario
def server_cursors(conn):
    with conn.transaction(), conn.cursor("walk") as cur:
        cur.itersize = 7
        cur.execute("select g, %s::text from generate_series(1, 30) g", ("x",))
        show(cur.fetchone(), cur.fetchmany(3), len(cur.fetchall()))
    with closing(conn.cursor("kept", withhold=True)) as cur:
        cur.execute("select g from generate_series(1, 12) g", binary=True)
        show(cur.fetchmany(3))
        for _ in range(4):
            query(conn, "select 'between'")
        show(cur.fetchmany(3))
        show(cur.fetchall())
    query(conn, "fetch kept")
    show([row for row in conn.cursor().stream("select generate_series(1, %s)", (5,))])


@scenario
def copies(conn):
    query(conn, f"create table {SCHEMA}.c (id int, t text)")
    with conn.cursor() as cur:
        with cur.copy(f"copy {SCHEMA}.c from stdin") as copy:
            for i in range(2000):
                copy.write_row((i, f"l{i}"))
        show(cur.statusmessage)
        with cur.copy(f"copy {SCHEMA}.c from stdin (format binary)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row((5000, None))
        with cur.copy(f"copy (select * from {SCHEMA}.c order by id) to stdout") as copy:
            show(sum(len(bytes(block)) for block in copy))
        for bad in "1\n", "x\ty\n":
            try:
                with cur.copy(f"copy {SCHEMA}.c from stdin") as copy:
                    copy.write(bad * 3000)
            except psycopg.Error as e:
                show_error(e)
        try:
            with cur.copy(f"copy {SCHEMA}.c from stdin") as copy:
                copy.write("1\tx\n")
                raise ValueError("own")
        except (ValueError, psycopg.Error) as e:
            show(type(e).__name__, e)
        with cur.copy("copy (select generate_series(1, 50000)) to stdout") as copy:
            show(bytes(copy.read()))
    query(conn, f"select count(*), sum(id) from {SCHEMA}.c")


@scenario
def cancel(conn):
    def interrupt():
        with closing(connect()) as other:
            while other.execute(SLEEPING).fetchone()[0] == 0:
                pass
            conn.cancel()
    for _ in range(3):
        thread = threading.Thread(target=interrupt)
        thread.start()
        query(conn, SLEEP)
        thread.join()
        query(conn, "select %s::int", 1)


@scenario
def session_state(conn):
    query(conn, "set statement_timeout = 50")
    for _ in range(3):
        query(conn, "select pg_sleep(%s)", 5)
    query(conn, "reset statement_timeout")
    query(conn, f"set search_path = {SCHEMA}")
    query(conn, "create table here (id int)")
    query(conn, "create temporary table mine (id int)")
    for i in range(6):
        query(conn, "insert into mine values (%s)", i)
        query(conn, "insert into here values (%s)", i)
    query(conn, "select count(*), (select count(*) from here) from mine")
    query(conn, "select set_config('app.x', %s, false)", "it's")
    query(conn, "select pg_advisory_lock(%s)", KEY)
    for _ in range(3):
        query(conn, "show app.x")
        query(conn, COUNT_LOCKS)
    query(conn, "select pg_advisory_unlock(%s)", KEY)
    query(conn, COUNT_LOCKS)
    query(conn, "discard all")
    query(conn, "select nullif(current_setting('app.x', true), '')")
    query(conn, "select * from mine")


@scenario
def listen_notify(conn):
    query(conn, f"listen {SCHEMA}")
    with closing(connect()) as other:
        for i in range(3):
            query(other, "select pg_notify(%s, %s)", SCHEMA, f"n{i}")
    got = conn.notifies()
    for _, n in zip(range(3), got):
        show(n.channel, n.payload)
    got.close()
    query(conn, "unlisten *")
    query(conn, "select count(*) from pg_listening_channels()")


@scenario
def notices(conn):
    query(conn, RAISE)
    query(conn, f"drop table if exists {SCHEMA}.nothing")
    query(conn, "select 1; select 2")
    query(conn, "")


@scenario
def isolation(conn):
    for level in psycopg.IsolationLevel:
        conn.isolation_level = level
        conn.read_only = level.value % 2 == 0
        with conn.transaction():
            query(conn, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')")


@scenario
def startup_parameters(_):
    with closing(connect(application_name="me too", options="-c work_mem=7MB -c geqo=off")) as conn:
        for _ in range(3):
            query(conn, "select current_setting('work_mem'), current_setting('geqo'), current_setting('application_name')")
        for name in "application_name", "TimeZone", "server_encoding":
            show(name, conn.info.parameter_status(name))


# Told as the server spells it.
@scenario
def spellings(_):
    for options in (
        {"client_encoding": "utf8"},
        {"client_encoding": "latin-1"},
        {"options": "-c datestyle=german -c timezone=europe/rome -c intervalstyle=ISO_8601"},
        {"options": "-c standard_conforming_strings=1"},
    ):
        with closing(connect(**options)) as conn:
            show(options, conn.info.encoding, conn.info.timezone)
            for name in "client_encoding", "DateStyle", "TimeZone", "IntervalStyle", "standard_conforming_strings":
                show(name, conn.info.parameter_status(name))
            query(conn, "select current_date - current_date, 'a\\b'")


@scenario
def large(conn):
    show(conn.execute("select length(%s), repeat('x', 1000000)", ("y" * 1000000,)).fetchone()[0])
    rows = conn.execute("select g, md5(g::text) from generate_series(1, %s) g", (10000,)).fetchall()
    show(len(rows), rows[-1], sum(r[0] for r in rows))
    with conn.cursor(binary=True) as cur:
        show(cur.execute("select %b", (bytes(1000000),)).fetchone()[0] == bytes(1000000))


def once(function):
    with closing(connect()) as conn:
        function(conn)


run(once)

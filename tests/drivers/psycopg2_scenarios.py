"""psycopg2: the simple protocol, COPY, notifications, cursors, cancel."""

import io
import select
import threading
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import psycopg2
import psycopg2.extensions
import psycopg2.extras
from scenario import COUNT_LOCKS, KEY, RAISE, SCHEMA, SLEEP, SLEEPING, run, scenario, show


def connect(**options):
    return psycopg2.connect("", **options)


def autocommit(**options):
    conn = connect(**options)
    conn.autocommit = True
    return conn


def query(conn, sql, values=None):
    """Run it and show what came of it; whether it went well."""
    with conn.cursor() as cur:
        try:
            cur.execute(sql, values)
        except psycopg2.Error as e:
            d = e.diag
            show("error", type(e).__name__, e.pgcode, d.severity, d.message_primary, d.message_detail,
                 d.message_hint, d.statement_position, d.constraint_name)
            return False
        show(cur.statusmessage, cur.rowcount)
        if cur.description:
            show(" ".join("%s:%d" % (c.name, c.type_code) for c in cur.description if c.type_code < 16384))
            for row in cur.fetchall():
                show("  ", row)
    return True


@scenario
def types(conn):
    query(conn, "set time zone 'Asia/Kolkata'")
    query(conn, "create table {0}.types (i int, b bigint, n numeric(20,5), t text, y bytea, d date,"
          " z timestamptz, v interval, o boolean, j jsonb, a int[], s text[], u uuid)".format(SCHEMA))
    row = (1, 2**62, Decimal("123456789012.50000"), "åßç '\\", bytes(range(256)), date(2024, 2, 29),
           datetime(2024, 2, 29, 12, tzinfo=timezone.utc), timedelta(days=3, hours=4), True,
           psycopg2.extras.Json({"a": [1, None]}), [1, 2, None], ["x,y", '"q"', None],
           "6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    places = ", ".join(["%s"] * 12) + ", %s::uuid"
    query(conn, "insert into {0}.types values ({1}), ({2})".format(
        SCHEMA, places, places), row + (None,) * 13)
    conn.commit()
    with conn.cursor() as cur:
        cur.execute("select * from {0}.types".format(SCHEMA))
        for got in cur.fetchall():
            show([bytes(v) if isinstance(v, memoryview) else v for v in got])
    conn.commit()
    query(conn, "set time zone 'America/New_York'")
    conn.commit()
    query(conn, "select z::text, i / 3.0, 'infinity'::float8, '-0'::float4 from {0}.types".format(SCHEMA))


@scenario
def errors(conn):
    query(conn, "selec 1")
    conn.rollback()
    query(conn, "create table {0}.uniq (id int primary key)".format(SCHEMA))
    query(conn, "insert into {0}.uniq values (1), (2)".format(SCHEMA))
    conn.commit()
    query(conn, "insert into {0}.uniq values (3), (1)".format(SCHEMA))
    query(conn, "select 'in a failed transaction'")
    conn.rollback()
    query(conn, "select 1 / 0")
    conn.commit()
    query(conn, "select * from {0}.nothing".format(SCHEMA))
    conn.rollback()
    query(conn, "select * from {0}.uniq".format(SCHEMA))


@scenario
def savepoints(conn):
    query(conn, "create table {0}.save (id int primary key)".format(SCHEMA))
    for i in range(5):
        query(conn, "savepoint a")
        query(conn, "insert into {0}.save values (%s)".format(SCHEMA), (i % 3,))
        if i >= 3:
            query(conn, "rollback to a")
        query(conn, "release a")
    conn.commit()
    query(conn, "select * from {0}.save order by 1".format(SCHEMA))


@scenario
def named_cursors(conn):
    with conn.cursor("walk") as cur:
        cur.itersize = 7
        cur.execute("select g, g * g from generate_series(1, 30) g")
        show(cur.fetchone(), cur.fetchmany(3), len(cur.fetchall()))
    with conn.cursor("jump", scrollable=True) as cur:
        cur.execute("select g from generate_series(1, 100) g")
        cur.scroll(50)
        show(cur.fetchone())
        cur.scroll(-10)
        show(cur.fetchone())
    conn.commit()
    query(conn, "fetch 1 from walk")


@scenario
def hold_cursor(conn):
    cur = conn.cursor("kept", withhold=True)
    cur.itersize = 4
    cur.execute("select g from generate_series(1, 12) g")
    show(cur.fetchmany(3))
    conn.commit()
    for _ in range(4):
        query(conn, "select 'between'")
        conn.commit()
    show(cur.fetchmany(3))
    conn.commit()
    show(cur.fetchall())
    cur.close()
    conn.commit()
    query(conn, "fetch 1 from kept")


@scenario
def copy_both_ways(conn):
    with conn.cursor() as cur:
        cur.execute("create table {0}.copied (id int, line text)".format(SCHEMA))
        text = "".join("%d\tline %d\n" % (i, i) for i in range(2000)) + "2000\t\\N\n"
        cur.copy_expert("copy {0}.copied from stdin".format(SCHEMA), io.StringIO(text))
        show(cur.statusmessage, cur.rowcount)
        conn.commit()
        out = io.StringIO()
        cur.copy_expert("copy (select * from {0}.copied order by id) to stdout".format(SCHEMA), out)
        show(cur.statusmessage, out.getvalue() == text)
        out = io.StringIO()
        cur.copy_expert("copy (select 1, 'a,b', null) to stdout with csv header", out)
        show(repr(out.getvalue()))
        for bad in "1\tx\ny\tz\n", "1\n":
            try:
                cur.copy_expert("copy {0}.copied from stdin".format(SCHEMA), io.StringIO(bad * 500))
            except psycopg2.Error as e:
                show(e.pgcode, e.diag.message_primary, e.diag.context)
            conn.rollback()

        class Broken:
            def read(self, size):
                raise ValueError("the reader broke")

        try:
            cur.copy_expert("copy {0}.copied from stdin".format(SCHEMA), Broken())
        except psycopg2.Error as e:
            show(e.pgcode, e.diag.message_primary.split("call")[0])
        conn.rollback()
        try:
            cur.copy_expert("copy (select 1 / (5000 - g) from generate_series(1, 9000) g) to stdout", io.StringIO())
        except psycopg2.Error as e:
            show(e.pgcode, e.diag.message_primary)
        conn.rollback()
    query(conn, "select count(*), sum(id) from {0}.copied".format(SCHEMA))


def wait_for_sleep():
    with closing(autocommit()) as other, other.cursor() as cur:
        while True:
            cur.execute(SLEEPING)
            if cur.fetchone()[0] > 0:
                return


@scenario
def cancel(conn):
    for _ in range(3):
        def interrupt():
            wait_for_sleep()
            conn.cancel()
        thread = threading.Thread(target=interrupt)
        thread.start()
        query(conn, SLEEP)
        thread.join()
        query(conn, "select 'in a failed transaction'")
        conn.rollback()
        query(conn, "select 'goes on'")
        conn.commit()


@scenario
def statement_timeout(conn):
    query(conn, "set statement_timeout = 50")
    conn.commit()
    for _ in range(3):
        query(conn, "select pg_sleep(5)")
        conn.rollback()
    query(conn, "show statement_timeout")
    query(conn, "reset statement_timeout")
    conn.commit()
    query(conn, "show statement_timeout")


def notifies(conn, wanted):
    """What arrives until there are so many; nothing more is awaited."""
    while len(conn.notifies) < wanted:
        if not select.select([conn], [], [], 5)[0]:
            show("nothing came")
            break
        conn.poll()
    for n in conn.notifies:
        show("notify", n.channel, n.payload)
    del conn.notifies[:]


@scenario
def listen_notify(conn):
    conn.autocommit = True
    query(conn, 'listen "{0}_a"'.format(SCHEMA))
    query(conn, 'listen "{0}_b"'.format(SCHEMA))
    with closing(autocommit()) as other:
        for i in range(3):
            query(other, "select pg_notify(%s, %s)", (SCHEMA + "_" + "ab"[i % 2], "number %d" % i))
    notifies(conn, 3)
    query(conn, 'notify "{0}_a", \'from myself\''.format(SCHEMA))
    notifies(conn, 1)
    query(conn, 'unlisten "{0}_a"'.format(SCHEMA))
    with closing(autocommit()) as other:
        query(other, 'notify "{0}_a"'.format(SCHEMA))
        query(other, 'notify "{0}_b"'.format(SCHEMA))
    notifies(conn, 1)
    query(conn, "select pg_listening_channels()")
    query(conn, "unlisten *")
    query(conn, "select pg_listening_channels()")


@scenario
def temporary_table(conn):
    query(conn, "create temporary table mine (id int) on commit preserve rows")
    conn.commit()
    for i in range(6):
        query(conn, "insert into mine values (%s)", (i,))
        conn.commit()
    query(conn, "select * from mine order by 1")
    query(conn, "drop table mine")
    conn.commit()
    query(conn, "select * from mine")
    conn.rollback()
    query(conn, "create temporary table brief (id int) on commit drop")
    conn.commit()
    query(conn, "create temporary table brief (id int) on commit drop")
    conn.commit()


@scenario
def advisory_lock(conn):
    conn.autocommit = True
    query(conn, "select pg_advisory_lock(%d)" % KEY)
    for _ in range(3):
        query(conn, COUNT_LOCKS)
    with closing(autocommit()) as other:
        query(other, "select pg_try_advisory_lock(%d)" % KEY)
    query(conn, "select pg_try_advisory_lock(%d)" % KEY)
    for _ in range(3):
        query(conn, "select pg_advisory_unlock(%d)" % KEY)
        query(conn, COUNT_LOCKS)
    query(conn, "select pg_advisory_lock_shared(%d)" % KEY)
    query(conn, "select pg_advisory_unlock_all()")
    query(conn, COUNT_LOCKS)
    conn.autocommit = False
    query(conn, "select pg_advisory_xact_lock(%d)" % KEY)
    query(conn, COUNT_LOCKS)
    conn.commit()
    query(conn, COUNT_LOCKS)


SETTINGS = {"search_path": SCHEMA + ", public", "app.x": "it's", "work_mem": "8MB", "DateStyle": "SQL, DMY",
            "extra_float_digits": "-3", "enable_seqscan": "off", "TimeZone": "Europe/Oslo"}


@scenario
def settings_stay(conn):
    conn.autocommit = True
    for name, value in SETTINGS.items():
        query(conn, "set {0} to {1}".format(name, value if name == "search_path" else "'%s'" % value.replace("'", "''")))
    for _ in range(3):
        for name in SETTINGS:
            query(conn, "show " + name)
    query(conn, "create table here (id int)")
    query(conn, "insert into here values (1)")
    query(conn, "select relnamespace::regnamespace::text = %s from pg_class where oid = 'here'::regclass", (SCHEMA,))
    query(conn, "reset app.x")
    query(conn, "select nullif(current_setting('app.x', true), '')")
    query(conn, "reset all")
    for name in SETTINGS:
        query(conn, "select nullif(current_setting(%s, true), '')", (name,))
    with closing(autocommit()) as other:
        for name in SETTINGS:
            query(other, "select nullif(current_setting(%s, true), '')", (name,))


@scenario
def settings_of_transactions(conn):
    query(conn, "set local search_path = {0}".format(SCHEMA))
    query(conn, "set local statement_timeout = '7s'")
    query(conn, "show search_path")
    conn.commit()
    query(conn, "show search_path")
    query(conn, "show statement_timeout")
    conn.commit()
    query(conn, "set app.y = 'gone'")
    query(conn, "set application_name = 'gone too'")
    conn.rollback()
    query(conn, "show application_name")
    query(conn, "select nullif(current_setting('app.y', true), '')")
    conn.rollback()
    query(conn, "select set_config('app.z', 'stays', false), set_config('app.w', 'goes', true)")
    conn.commit()
    for _ in range(3):
        query(conn, "select nullif(current_setting('app.z', true), ''), nullif(current_setting('app.w', true), '')")
        conn.commit()


@scenario
def isolation(conn):
    for level in range(4):
        conn.set_session(isolation_level=level + 1, readonly=level % 2 == 1, deferrable=False)
        query(conn, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        query(conn, "create table {0}.never (id int)".format(SCHEMA))
        conn.rollback()
    conn.set_session(isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT", autocommit=True)
    query(conn, "set session characteristics as transaction isolation level serializable, read only")
    for _ in range(3):
        query(conn, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')")
    query(conn, "set session characteristics as transaction isolation level read committed, read write")
    query(conn, "show transaction_isolation")


@scenario
def notices(conn):
    query(conn, RAISE)
    query(conn, "create table if not exists {0}.once (id int)".format(SCHEMA))
    query(conn, "create table if not exists {0}.once (id int)".format(SCHEMA))
    query(conn, "drop table if exists {0}.nothing".format(SCHEMA))
    conn.commit()
    query(conn, "set client_min_messages = warning")
    conn.commit()
    for _ in range(2):
        query(conn, RAISE)
        conn.commit()
    for text in conn.notices:
        show(text.strip())


@scenario
def large_results(conn):
    with conn.cursor() as cur:
        cur.execute("select g, md5(g::text) from generate_series(1, 10000) g")
        rows = cur.fetchall()
        show(len(rows), rows[0], rows[-1], sum(r[0] for r in rows))
        cur.execute("select repeat('x', 1000000), %s", ("y" * 1000000,))
        show([len(v) for v in cur.fetchone()])
        cur.execute("select %s::bytea", (bytes(1000000),))
        show(bytes(cur.fetchone()[0]) == bytes(1000000))


@scenario
def several_statements(conn):
    conn.autocommit = True
    query(conn, "")
    query(conn, ";")
    query(conn, "select 1; select 2; select 3 as last")
    query(conn, "create table {0}.multi (id int); insert into {0}.multi values (1); select 1 / 0".format(SCHEMA))
    query(conn, "select * from {0}.multi".format(SCHEMA))
    query(conn, "begin; select 1; commit; select 'after'")
    query(conn, "begin; select 1 / 0; commit")
    query(conn, "rollback")
    query(conn, "rollback")
    query(conn, "begin; commit and chain; select 'chained'")
    query(conn, "commit")


@scenario
def sql_prepare(conn):
    conn.autocommit = True
    query(conn, "prepare plus (int, int) as select $1 + $2")
    for i in range(6):
        query(conn, "execute plus (%s, %s)", (i, i))
    query(conn, "prepare plus as select 1")
    query(conn, "deallocate plus")
    query(conn, "execute plus (1, 2)")
    query(conn, "prepare plus (text) as select $1 || '!'")
    query(conn, "execute plus ('again')")
    query(conn, "deallocate all")
    query(conn, "execute plus ('never')")


@scenario
def discard_all(conn):
    conn.autocommit = True
    query(conn, "set work_mem = '9MB'")
    query(conn, "create temporary table dropped (id int)")
    query(conn, "prepare gone as select 1")
    query(conn, "select pg_advisory_lock(%d)" % KEY)
    query(conn, "discard all")
    query(conn, "show work_mem")
    query(conn, "select * from dropped")
    query(conn, "execute gone")
    query(conn, COUNT_LOCKS)
    query(conn, "discard temp")
    query(conn, "discard plans")
    query(conn, "select 'goes on'")


@scenario
def startup_parameters(_):
    with closing(autocommit(application_name="it's \"me\"", options="-c work_mem=7MB -c search_path=%s,public" % SCHEMA,
                    client_encoding="LATIN1")) as conn:
        for _ in range(3):
            for name in "application_name", "work_mem", "search_path", "client_encoding":
                query(conn, "show " + name)
        query(conn, "select 'é'")
        for name in "application_name", "client_encoding", "server_encoding", "DateStyle", "TimeZone", \
                "integer_datetimes", "standard_conforming_strings", "is_superuser", "session_authorization":
            show(name, conn.get_parameter_status(name))
        show(conn.server_version, conn.protocol_version, conn.info.dbname.split("_")[0], conn.info.user)
        conn.set_client_encoding("UTF8")
        query(conn, "select 'é', 'ł'")


@scenario
def reset_of_startup_options(_):
    with closing(autocommit(options="-c work_mem=7MB -c datestyle=German")) as conn:
        query(conn, "set work_mem = '8MB'")
        query(conn, "reset work_mem")
        query(conn, "show work_mem")
        query(conn, "set datestyle = ISO")
        conn.reset()
        query(conn, "select date '2020-02-01'")


@scenario
def two_phase(conn):
    query(conn, "select 1")
    conn.rollback()
    conn.tpc_begin(conn.xid(1, SCHEMA, "branch"))
    query(conn, "select 2")
    try:
        conn.tpc_prepare()
    except psycopg2.Error as e:
        show(e.pgcode, e.diag.message_primary)


def once(function):
    conn = connect()
    try:
        function(conn)
    finally:
        conn.close()


run(once)

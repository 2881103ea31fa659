"""psqlODBC by pyodbc: statements prepared at the server, cursors by DECLARE and FETCH, and neither."""

import os

import pyodbc
from scenario import COUNT_LOCKS, KEY, SCHEMA, run, scenario, show

pyodbc.pooling = False
DRIVER = os.environ["PSQLODBC"]


def connect(**options):
    settings = {"Driver": DRIVER, "Servername": os.environ["PGHOST"], "Port": os.environ["PGPORT"],
                "Database": os.environ["PGDATABASE"], "Username": os.environ["PGUSER"], "SSLmode": "verify-full",
                "UseServerSidePrepare": 1, **options}
    return pyodbc.connect(";".join("%s=%s" % s for s in settings.items()), autocommit=True)


def show_error(e):
    show("error", type(e).__name__, e.args[0], e.args[-1].split("\n")[0])


def query(conn, sql, *values):
    try:
        cur = conn.execute(sql, *values)
        while True:
            show("count", cur.rowcount)
            if cur.description:
                show([c[0] for c in cur.description])
                for row in cur.fetchall():
                    show("  ", tuple(row))
            if not cur.nextset():
                break
        cur.close()
    except pyodbc.Error as e:
        show_error(e)


def types(conn):
    query(conn, f"create table {SCHEMA}.types (i int, n numeric(10,2), t text, y bytea, z timestamp, o bool)")
    for i in range(3):
        query(conn, f"insert into {SCHEMA}.types values (?, ?, ?, ?, ?, ?)", i, "1.50", "å'\\", bytes(range(9)),
              "2024-02-29 12:00:00", i % 2)
    query(conn, f"select * from {SCHEMA}.types where i < ?", 2)
    query(conn, "set time zone 'Asia/Tokyo'")
    query(conn, "select current_setting('TimeZone'), ?::text", "x")


def statements(conn):
    cursors = [conn.cursor() for _ in range(6)]
    for i in range(60):
        k = i * 5 % 6
        got = cursors[k].execute(f"select ?::int * {k}, '{k}'", i).fetchone()
        show(tuple(got) == (i * k, str(k)))
        if i % 10 == 9:
            cursors[k].close()
            cursors[k] = conn.cursor()
    query(conn, "select 1 / ?::int", 0)
    query(conn, "select 1 / ?::int", 1)


def altered(conn):
    query(conn, f"create table {SCHEMA}.alt (a int)")
    query(conn, f"insert into {SCHEMA}.alt values (?)", 1)
    for _ in range(2):
        query(conn, f"select * from {SCHEMA}.alt where a = ?", 1)
        query(conn, f"alter table {SCHEMA}.alt add column if not exists b text default 'new'")


def transactions(conn):
    query(conn, f"create table {SCHEMA}.uniq (id int primary key)")
    for i in 1, 2, 1:
        query(conn, f"insert into {SCHEMA}.uniq values (?)", i)
    conn.autocommit = False
    query(conn, f"insert into {SCHEMA}.uniq values (?)", 3)
    query(conn, f"insert into {SCHEMA}.uniq values (?)", 3)
    query(conn, "select ?::int", 1)
    conn.rollback()
    query(conn, f"insert into {SCHEMA}.uniq values (?)", 4)
    conn.commit()
    conn.autocommit = True
    query(conn, f"select * from {SCHEMA}.uniq order by 1")
    query(conn, "select 1; select 2")
    query(conn, "selec")


def fetching(conn):
    conn.autocommit = False
    cur = conn.execute("select g, g * ? from generate_series(1, 500) g", 2)
    show(tuple(cur.fetchone()), len(cur.fetchmany(150)))
    other = conn.execute("select generate_series(1, 250)")
    show(len(other.fetchall()), len(cur.fetchall()))
    conn.commit()
    try:
        show(len(conn.execute("select 10 / (300 - g) from generate_series(1, 500) g").fetchall()))
    except pyodbc.Error as e:
        show_error(e)
    conn.rollback()
    query(conn, "select ?::int", 1)
    conn.commit()


def catalog(conn):
    query(conn, f"create table {SCHEMA}.seen (id int primary key, name text)")
    cur = conn.cursor()
    show([(r.table_name, r.table_type) for r in cur.tables(schema=SCHEMA)])
    show([(r.column_name, r.type_name) for r in cur.columns(schema=SCHEMA, table="seen")])
    show([r.column_name for r in cur.primaryKeys(schema=SCHEMA, table="seen")])
    show(conn.getinfo(pyodbc.SQL_DBMS_NAME), conn.getinfo(pyodbc.SQL_DBMS_VER))


def many_at_once(conn):
    query(conn, f"create table {SCHEMA}.many (id int primary key, t text)")
    cur = conn.cursor()
    for first in 0, 150:
        try:
            cur.executemany(f"insert into {SCHEMA}.many values (?, ?)", [(first + i, str(i)) for i in range(200)])
        except pyodbc.Error as e:
            show_error(e)
    query(conn, f"select count(*), sum(id) from {SCHEMA}.many")


def session_state(conn):
    query(conn, "set statement_timeout = 50")
    for _ in range(3):
        query(conn, "select 1 from pg_sleep(?)", 5)
    query(conn, "reset statement_timeout")
    query(conn, f"set search_path = {SCHEMA}")
    query(conn, "create table here (id int)")
    query(conn, "create temporary table mine (id int)")
    for i in range(6):
        query(conn, "insert into mine values (?)", i)
        query(conn, "insert into here values (?)", i)
    query(conn, "select count(*), (select count(*) from here) from mine")
    query(conn, "select set_config('app.x', ?, false)", "it's")
    query(conn, "select 1 from pg_advisory_lock(?)", KEY)
    for _ in range(3):
        query(conn, "show app.x")
        query(conn, COUNT_LOCKS)
    query(conn, "select pg_advisory_unlock(?)", KEY)


def large(conn):
    got = conn.execute("select ?::text, repeat('y', 100000)", "x" * 100000).fetchone()
    show([len(v) for v in got])
    rows = conn.execute("select g, md5(g::text) from generate_series(1, 10000) g").fetchall()
    show(len(rows), tuple(rows[-1]), sum(r[0] for r in rows))


WAYS = {"prepared": {}, "declared": {"UseDeclareFetch": 1, "Fetch": 100}, "plain": {"UseServerSidePrepare": 0},
        "statement_rollback": {"Protocol": "7.4-2"}}


def variant(function, way, options):
    def once(_):
        conn = connect(**options)
        try:
            conn.execute("do $$ declare t text; begin for t in select tablename from pg_tables where schemaname = "
                         f"'{SCHEMA}' loop execute 'drop table {SCHEMA}.' || t; end loop; end $$")
            function(conn)
        finally:
            conn.close()
    once.__name__ = function.__name__ + "_" + way
    scenario(once)


for way, options in WAYS.items():
    for function in types, statements, altered, transactions, fetching, catalog, many_at_once, session_state, large:
        variant(function, way, options)
run(lambda function: function(None))

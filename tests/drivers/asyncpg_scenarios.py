"""asyncpg: binary, a cache of statements, types that it asks the server about, cursors, COPY, listeners."""

import asyncio
import io
import os
import ssl
from datetime import datetime, timezone
from decimal import Decimal

import asyncpg
from scenario import COUNT_LOCKS, KEY, RAISE, SCHEMA, SLEEP, SLEEPING, run, scenario, show


async def connect(**options):
    context = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    context.load_cert_chain(os.environ["PGSSLCERT"], os.environ["PGSSLKEY"])
    conn = await asyncpg.connect(ssl=context, **options)
    conn.add_log_listener(lambda _, m: show("notice", m.severity, m.sqlstate, m.message, m.detail))
    return conn


def show_error(e):
    show("error", type(e).__name__, getattr(e, "sqlstate", None), e, getattr(e, "detail", None))


async def query(conn, sql, *values):
    try:
        for row in await conn.fetch(sql, *values):
            show("  ", dict(row))
        show("fetched", sql.split()[0] if sql else "")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as e:
        show_error(e)


async def simple(conn, sql):
    try:
        show(await conn.execute(sql))
    except asyncpg.PostgresError as e:
        show_error(e)


@scenario
async def types(conn):
    await simple(conn, f"create table {SCHEMA}.types (i int, n numeric, t text, y bytea, z timestamptz, j jsonb, a text[])")
    row = (1, Decimal("1.50"), "å'\\", bytes(range(256)), datetime(2024, 2, 29, tzinfo=timezone.utc), '{"a": null}', ["x", None])
    for _ in range(3):
        await query(conn, f"insert into {SCHEMA}.types values ($1, $2, $3, $4, $5, $6, $7) returning *", *row)
    await query(conn, f"insert into {SCHEMA}.types values ($1, $2, $3, $4, $5, $6, $7)", *(None,) * 7)
    await query(conn, f"select * from {SCHEMA}.types")
    for zone in "Asia/Tokyo", "America/Lima":
        await simple(conn, f"set time zone '{zone}'")
        await query(conn, f"select z, z::text from {SCHEMA}.types")


@scenario
async def introspection(conn):
    await simple(conn, f"create type {SCHEMA}.mood as enum ('sad', 'happy')")
    await simple(conn, f"create type {SCHEMA}.pair as (a int, b {SCHEMA}.mood[])")
    await simple(conn, f"create table {SCHEMA}.odd (m {SCHEMA}.mood, p {SCHEMA}.pair, r int4range, ps {SCHEMA}.pair[])")
    for _ in range(4):
        await query(conn, f"insert into {SCHEMA}.odd values ($1, $2, $3, $4) returning *", "sad", (1, ["happy"]),
                    asyncpg.Range(1, 5), [(2, []), (3, None)])
    await conn.reload_schema_state()
    await query(conn, f"select * from {SCHEMA}.odd where m = $1", "happy")
    await query(conn, f"select $1::{SCHEMA}.mood", "glad")
    await conn.set_type_codec("mood", schema=SCHEMA, encoder=str.lower, decoder=str.upper)
    await query(conn, f"select 'sad'::{SCHEMA}.mood, $1::{SCHEMA}.mood", "HAPPY")


@scenario
async def cached_statements(conn):
    for i in range(30):
        async with conn.transaction():
            show(await conn.fetchval("select $1::int + 1", i) == i + 1)
        show(await conn.fetchval(f"select $1::text || '{i % 7}'", f"v{i}") == f"v{i}{i % 7}")


@scenario
async def few_cached(_):
    conn = await connect(statement_cache_size=4)
    for i in range(50):
        k = i * 5 % 11
        show(await conn.fetchval(f"select $1::int + {k}", i) == i + k)
    await conn.close()
    conn = await connect(statement_cache_size=0)
    for i in range(8):
        show(await conn.fetchval("select $1::int", i) == i)
    await conn.close()


@scenario
async def prepared(conn):
    statements = [await conn.prepare(f"select $1::int * {k} as x{k}") for k in range(8)]
    for i in range(40):
        k = i * 3 % 8
        show(await statements[k].fetchval(i) == i * k)
    show(statements[3].get_parameters(), statements[3].get_attributes(), statements[3].get_statusmsg())
    show([list(r) for r in await statements[2].fetch(4)])
    try:
        await statements[2].fetch("no number")
    except Exception as e:
        show(type(e).__name__)
    show(await statements[2].fetchval(5))
    one = await conn.prepare("select 'named'", name="mine")
    show(await one.fetchval())
    try:
        await conn.prepare("select 'again'", name="mine")
    except asyncpg.PostgresError as e:
        show_error(e)


@scenario
async def altered(conn):
    await simple(conn, f"create table {SCHEMA}.alt (a int); insert into {SCHEMA}.alt values (1)")
    await query(conn, f"select * from {SCHEMA}.alt")
    await simple(conn, f"alter table {SCHEMA}.alt add column b text default 'new'")
    await query(conn, f"select * from {SCHEMA}.alt")
    await query(conn, f"select * from {SCHEMA}.alt")
    async with conn.transaction():
        await query(conn, f"select a from {SCHEMA}.alt")
    await simple(conn, f"alter table {SCHEMA}.alt alter column a type text")
    try:
        async with conn.transaction():
            await conn.fetch(f"select a from {SCHEMA}.alt")
    except asyncpg.PostgresError as e:
        show_error(e)
    await query(conn, f"select a from {SCHEMA}.alt")


@scenario
async def discarded(conn):
    for what in "deallocate all", "discard all", "discard plans", "rollback":
        for i in range(3):
            await query(conn, "select $1::int + 100", i)
        await simple(conn, what)
    await query(conn, "select $1::int + 100", 9)
    await conn.reset()
    await query(conn, "select $1::int + 100", 9)


@scenario
async def errors(conn):
    await query(conn, "selec $1", 1)
    await simple(conn, f"create table {SCHEMA}.uniq (id int primary key)")
    for i in 1, 2, 1:
        await query(conn, f"insert into {SCHEMA}.uniq values ($1)", i)
    await query(conn, "select 1 / $1::int", 0)
    await query(conn, "select 1 / $1::int", 1)
    await simple(conn, "begin")
    await query(conn, "select 1 / $1::int", 0)
    await query(conn, "select 1 / $1::int", 1)
    await simple(conn, "commit")
    await query(conn, "select 1 / $1::int", 1)
    async with conn.transaction():
        try:
            async with conn.transaction():
                await conn.execute(f"insert into {SCHEMA}.uniq values ($1)", 1)
        except asyncpg.PostgresError as e:
            show_error(e)
        await query(conn, f"insert into {SCHEMA}.uniq values ($1)", 3)
    await query(conn, f"select * from {SCHEMA}.uniq order by 1")


@scenario
async def many_at_once(conn):
    await simple(conn, f"create table {SCHEMA}.many (id int primary key, t text)")
    sql = f"insert into {SCHEMA}.many values ($1, $2)"
    await conn.executemany(sql, [(i, str(i)) for i in range(500)])
    for first in 1000, 0:
        try:
            await conn.executemany(sql, [(i, "x") for i in range(first, first + 300)])
        except asyncpg.PostgresError as e:
            show_error(e)
    await query(conn, f"select count(*), sum(id) from {SCHEMA}.many")


@scenario
async def cursors(conn):
    async with conn.transaction():
        got = []
        async for row in conn.cursor("select generate_series(1, $1::int) as g", 30, prefetch=7):
            got.append(row["g"])
        show(got)
        cur = await conn.cursor("select g from generate_series(1, 100) g")
        show([r["g"] for r in await cur.fetch(3)], await cur.forward(10), await cur.fetchrow())
        try:
            async for row in conn.cursor("select 10 / (10 - g) from generate_series(1, 20) g", prefetch=4):
                show(row[0])
        except asyncpg.PostgresError as e:
            show_error(e)
        await query(conn, "select 1")
    await query(conn, "select 2")


@scenario
async def copies(conn):
    await simple(conn, f"create table {SCHEMA}.c (id int, t text)")
    show(await conn.copy_records_to_table("c", schema_name=SCHEMA, records=[(i, f"l{i}") for i in range(2000)]))
    show(await conn.copy_to_table("c", schema_name=SCHEMA, source=io.BytesIO(b"5000\t\\N\n")))
    out = io.BytesIO()
    show(await conn.copy_from_table("c", schema_name=SCHEMA, output=out, format="csv"), len(out.getvalue()))
    out = io.BytesIO()
    show(await conn.copy_from_query("select $1::int, 'x'", 7, output=out), out.getvalue())
    for bad in b"1\n", b"x\ty\n":
        try:
            await conn.copy_to_table("c", schema_name=SCHEMA, source=io.BytesIO(bad * 3000))
        except asyncpg.PostgresError as e:
            show_error(e)
    try:
        await conn.copy_from_query("select 1 / (3000 - g) from generate_series(1, 9000) g", output=io.BytesIO())
    except asyncpg.PostgresError as e:
        show_error(e)

    async def broken():
        yield b"1\tx\n"
        raise ValueError("own")

    try:
        await conn.copy_to_table("c", schema_name=SCHEMA, source=broken())
    except Exception as e:
        show(type(e).__name__)
    await query(conn, f"select count(*), sum(id) from {SCHEMA}.c")


@scenario
async def cancel(conn):
    other = await connect()
    for _ in range(3):
        sleeper = asyncio.ensure_future(conn.fetch(SLEEP))
        while await other.fetchval(SLEEPING.replace("%%", "%")) == 0:
            pass
        sleeper.cancel()
        try:
            await sleeper
        except asyncio.CancelledError:
            show("cancelled")
        await query(conn, "select $1::int", 1)
    await other.close()
    for _ in range(3):
        try:
            await conn.fetch("select pg_sleep(20)", timeout=0.05)
        except asyncio.TimeoutError:
            show("timed out")
        await query(conn, "select $1::int", 1)


@scenario
async def session_state(conn):
    await simple(conn, "set statement_timeout = 50")
    for _ in range(3):
        await query(conn, "select pg_sleep($1)", 5)
    await simple(conn, "reset statement_timeout")
    await simple(conn, f"set search_path = {SCHEMA}")
    await simple(conn, "create table here (id int)")
    await simple(conn, "create temporary table mine (id int)")
    for i in range(6):
        await query(conn, "insert into mine values ($1)", i)
        await query(conn, "insert into here values ($1)", i)
    await query(conn, "select count(*), (select count(*) from here) from mine")
    await query(conn, "select set_config('app.x', $1, false)", "it's")
    await query(conn, "select pg_advisory_lock($1)", KEY)
    for _ in range(3):
        await query(conn, "show app.x")
        await query(conn, COUNT_LOCKS)
    await conn.reset()
    await query(conn, "select nullif(current_setting('app.x', true), '')")
    await query(conn, COUNT_LOCKS)
    await query(conn, "select count(*) from mine")


@scenario
async def listeners(conn):
    heard = asyncio.Queue()
    await conn.add_listener(SCHEMA, lambda c, pid, channel, payload: heard.put_nowait((channel, payload)))
    other = await connect()
    for i in range(3):
        await query(other, "select pg_notify($1, $2)", SCHEMA, f"n{i}")
    await other.close()
    for _ in range(3):
        try:
            show(await asyncio.wait_for(heard.get(), 5))
        except asyncio.TimeoutError:
            show("nothing came")
    await conn.execute(f"notify {SCHEMA}, 'mine'")
    show(heard.qsize())
    await conn.reset()
    await query(conn, "select count(*) from pg_listening_channels()")


@scenario
async def notices(conn):
    await simple(conn, RAISE)
    await simple(conn, f"drop table if exists {SCHEMA}.nothing")
    await simple(conn, "select 1; select 2")
    await query(conn, "")


@scenario
async def isolation(conn):
    for level in "read_committed", "repeatable_read", "serializable":
        for readonly in False, True:
            async with conn.transaction(isolation=level, readonly=readonly):
                await query(conn, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')")


@scenario
async def startup_parameters(_):
    conn = await connect(server_settings={"application_name": "me too", "work_mem": "7MB", "geqo": "off"})
    for _ in range(3):
        await query(conn, "select current_setting('work_mem'), current_setting('geqo'), current_setting('application_name')")
    show(conn.get_settings().application_name, conn.get_settings().server_encoding)
    await conn.close()


@scenario
async def spellings(_):
    conn = await connect(server_settings={"client_encoding": "utf8", "datestyle": "german", "timezone": "europe/rome"})
    settings = conn.get_settings()
    show(settings.client_encoding, settings.DateStyle, settings.TimeZone)
    await query(conn, "select 'ü', date '2001-02-03'")
    await conn.close()


@scenario
async def large(conn):
    show(len(await conn.fetchval("select $1::text || repeat('x', 1000000)", "y" * 1000000)))
    rows = await conn.fetch("select g, md5(g::text) from generate_series(1, $1::int) g", 10000)
    show(len(rows), rows[-1], sum(r[0] for r in rows))
    show(await conn.fetchval("select $1::bytea", bytes(1000000)) == bytes(1000000))


async def with_connection(function):
    conn = await connect()
    try:
        await function(conn)
    finally:
        await conn.close(timeout=10)


loop = asyncio.new_event_loop()
run(lambda function: loop.run_until_complete(with_connection(function)))

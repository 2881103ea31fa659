"""SQLAlchemy on psycopg2 and on asyncpg: its pool, ORM, savepoints, reflection, streaming."""

import asyncio
import os
import ssl

from scenario import SCHEMA, run, scenario, show
from sqlalchemy import (Column, ForeignKey, Integer, MetaData, Numeric, String, Table, create_engine, event, exc, func,
                        inspect, select, text)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, relationship, selectinload, sessionmaker

Base = declarative_base(metadata=MetaData(schema=SCHEMA))


class Person(Base):
    __tablename__ = "person"
    id = Column(Integer, primary_key=True)
    name = Column(String, unique=True, nullable=False)
    tags = Column(ARRAY(String))
    extra = Column(JSONB)
    items = relationship("Item", back_populates="person", order_by="Item.id")


class Item(Base):
    __tablename__ = "item"
    id = Column(Integer, primary_key=True)
    person_id = Column(ForeignKey(Person.id))
    price = Column(Numeric(8, 2))
    person = relationship(Person, back_populates="items")


def show_error(e):
    code = getattr(e.orig, "pgcode", None) or getattr(e.orig, "sqlstate", None)
    show("error", type(e).__name__, code, str(e.orig).strip())


def async_engine(**options):
    context = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    context.load_cert_chain(os.environ["PGSSLCERT"], os.environ["PGSSLKEY"])
    url = "postgresql+asyncpg://%(PGUSER)s@%(PGHOST)s:%(PGPORT)s/%(PGDATABASE)s" % os.environ
    return create_async_engine(url, connect_args={"ssl": context, **options})


@scenario
def orm(engine):
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    Session = sessionmaker(engine)
    with Session.begin() as session:
        for i in range(5):
            person = Person(name=f"p{i}", tags=["a", f"t{i}"], extra={"n": i})
            person.items = [Item(price=k * 1.5) for k in range(i)]
            session.add(person)
    with Session() as session:
        for person in session.scalars(select(Person).options(selectinload(Person.items)).order_by(Person.id)):
            show(person.name, person.tags, person.extra, [str(i.price) for i in person.items])
        person.name = "renamed"
        session.flush()
        session.rollback()
        show(person.name)
        for name in "p0", "new":
            try:
                with session.begin_nested():
                    session.add(Person(name=name))
            except exc.IntegrityError as e:
                show_error(e)
        session.commit()
        total = select(Person.name, func.sum(Item.price)).join(Item).group_by(Person.name).order_by(Person.name)
        show(session.execute(total).all())
        show(session.scalar(select(func.count()).select_from(Person)))


@scenario
def reflection(engine):
    Base.metadata.create_all(engine)
    seen = inspect(engine)
    for table in sorted(seen.get_table_names(schema=SCHEMA)):
        show(table, [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table, schema=SCHEMA)])
        show(seen.get_pk_constraint(table, schema=SCHEMA)["constrained_columns"],
             [f["referred_columns"] for f in seen.get_foreign_keys(table, schema=SCHEMA)],
             [u["column_names"] for u in seen.get_unique_constraints(table, schema=SCHEMA)])
    show(Table("item", MetaData(), schema=SCHEMA, autoload_with=engine).columns.keys())


@scenario
def core(engine):
    with engine.connect() as conn:
        with conn.begin():
            conn.execute(text(f"create table {SCHEMA}.kv (k int primary key, v text)"))
        kv = Table("kv", MetaData(), schema=SCHEMA, autoload_with=conn)
        conn.rollback()
        for i in range(6):
            with conn.begin():
                put = insert(kv).values(k=i % 3, v=f"v{i}")
                conn.execute(put.on_conflict_do_update(index_elements=["k"], set_={"v": put.excluded.v}))
        show(conn.execute(select(kv).order_by(kv.c.k)).all())
        streaming = conn.execution_options(stream_results=True, yield_per=100)
        show(sum(r[0] for r in streaming.execute(text("select g from generate_series(1, 1000) g"))))
    for level in "SERIALIZABLE", "REPEATABLE READ", "AUTOCOMMIT":
        with engine.connect().execution_options(isolation_level=level) as conn:
            show(conn.execute(text("select current_setting('transaction_isolation')")).scalar())


@scenario
def pool(engine):
    """Connections that come back and are taken again, with what is set on connect."""
    @event.listens_for(engine, "connect")
    def on_connect(dbapi, _):
        with dbapi.cursor() as cur:
            cur.execute(f"set search_path = {SCHEMA}")
            cur.execute("set application_name = 'pooled'")
        dbapi.commit()

    for _ in range(4):
        with engine.connect() as one, engine.connect() as two:
            for conn in one, two:
                show(conn.execute(text("select current_setting('search_path'), current_setting('application_name')")).one())
    with engine.connect() as conn:
        try:
            conn.execute(text("select 1 / 0"))
        except exc.DBAPIError as e:
            show_error(e)
    with engine.connect() as conn:
        show(conn.execute(text("select :a || 'x'"), {"a": "y"}).scalar())


async def walk(engine):
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
        await conn.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        for i in range(12):
            session.add(Person(name=f"a{i}", tags=[str(i)], extra={"i": i}))
            await session.commit()
        for person in await session.scalars(select(Person).order_by(Person.id)):
            show(person.name, person.tags, person.extra)
        session.add(Person(name="a1"))
        try:
            await session.commit()
        except exc.IntegrityError as e:
            show("error", type(e).__name__, e.orig.pgcode)
        await session.rollback()
        show(await session.scalar(select(func.count()).select_from(Person)))
    async with engine.connect() as conn:
        rows = await conn.stream(text("select g from generate_series(1, 500) g"))
        show(sum([r[0] async for r in rows]))
    await engine.dispose()


@scenario
def on_asyncpg(_):
    asyncio.run(walk(async_engine()))


@scenario
def on_asyncpg_without_cache(_):
    asyncio.run(walk(async_engine(prepared_statement_cache_size=0, statement_cache_size=0)))


def once(function):
    engine = create_engine("postgresql+psycopg2://", future=True)
    try:
        function(engine)
    finally:
        engine.dispose()


run(once)

-- What psql asks of the catalogs.
set search_path = :schema;
create table parent (id int generated always as identity primary key, name text not null unique, made date default '2024-01-01');
create table child (parent int references parent on delete cascade, v numeric check (v > 0)) ;
create index on child (v desc) where v > 1;
create view young as select * from parent where made > '2024-01-01';
create function f(int) returns int language sql immutable as 'select $1';
comment on table parent is 'it has children';
create type shade as enum ('light', 'dark');
\d parent
\d+ child
\d young
\dt
\di
\dv
\df
\dT
\d nothing
\dn :schema
\sf f
\sv young
\encoding
\echo :SERVER_VERSION_NUM :ENCODING :USER
grant select on parent to public;
\dp parent
select * from nothing;
\gdesc
select 1 as a, 'x' as b, null::numeric(5,2) as c \gdesc
select 'create table gen' || g || ' (id int)' from generate_series(1, 2) g \gexec
\dt gen*
select 7 as seven, 'text' as word \gset
\echo :seven :word
select * from (values ('r1', 'c1', 1), ('r2', 'c2', 2)) v \crosstabview
set client_encoding = 'LATIN1';
show client_encoding;
set client_encoding = 'UTF8';

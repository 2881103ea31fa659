-- Errors of all classes, and that the session goes on after each.
\set VERBOSITY verbose
\set SHOW_CONTEXT always
set search_path = :schema;
selec 1;
select * from nothing;
select nothing;
select nothing();
select 1 / 0;
select 'x'::int;
select 9999999999::int;
select '2024-02-30'::date;
select substring('x' from 1 for -1);
create table e (id int primary key, n int not null, c int check (c > 0), p int references e);
insert into e values (1, 1, 1, 1);
insert into e values (1, 1, 1, 1);
insert into e values (2, null, 1, 1);
insert into e values (3, 1, -1, 1);
insert into e values (4, 1, 1, 99);
delete from e where id = 99;
create table e (id int);
drop table nothing;
drop table if exists nothing;
select repeat('x', 2000000000);
set nonsense = 1;
set work_mem = 'lots';
show nonsense;
set role nobody_at_all;
create role x;
select pg_read_file('/etc/passwd');
select * from pg_authid;
set statement_timeout = 40;
select pg_sleep(5);
set statement_timeout = 0;
select pg_sleep(0.01);
begin;
set local statement_timeout = 40;
select pg_sleep(5);
select 1;
rollback;
select 'after';
;
select;
select 1 \; select 2 \; selec 3;
select $$unterminated
$$;

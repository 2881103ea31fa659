-- Functions, triggers, notices, exceptions, procedures that commit.
set search_path = :schema;
create function add(a int, b int default 10) returns int language sql as 'select a + b';
select add(1), add(b => 2, a => 1);
create table log (id serial, what text);
create table watched (id int primary key, v text);
create function note() returns trigger language plpgsql as $$
begin
	raise notice '% on %: % -> %', tg_op, tg_table_name, old, new;
	insert into log (what) values (tg_op);
	return coalesce(new, old);
end $$;
create trigger note before insert or update or delete on watched for each row execute function note();
insert into watched values (1, 'one'), (2, 'two');
update watched set v = upper(v) where id = 1;
delete from watched where id = 2;
select what, count(*) from log group by 1 order by 1;
create function divide(a int, b int) returns int language plpgsql as $$
begin
	return a / b;
exception when division_by_zero then
	raise warning 'caught: %', sqlerrm using hint = 'do not';
	return null;
end $$;
select divide(4, 2), divide(1, 0);
create procedure many() language plpgsql as $$
begin
	for i in 1..4 loop
		insert into log (what) values ('many ' || i);
		if i % 2 = 0 then commit; else rollback; end if;
	end loop;
end $$;
call many();
select what from log where what like 'many%' order by id;
begin;
call many();
rollback;
create function rows(n int) returns table (i int, sq int) language plpgsql as $$
begin
	for i in 1..n loop return query select rows.n, i * i; end loop;
end $$;
select * from rows(3);
do $$ begin raise exception 'own' using errcode = 'AB123', detail = 'the detail', hint = 'the hint', table = 'log'; end $$;
\errverbose
do $$ declare x int; begin execute 'select 1 from nowhere' into x; end $$;
do $$ begin perform set_config('app.in_do', 'here', true); end $$;
set client_min_messages = error;
select divide(1, 0);
reset client_min_messages;
select divide(1, 0);

-- Joins, aggregates, CTEs, window functions.
set search_path = :schema;
create table people (id int primary key, name text, boss int references people);
create table items (person int references people, item text, price numeric(8,2));
insert into people values (1, 'Ada', null), (2, 'Bob', 1), (3, 'Cyd', 1), (4, 'Dan', 2);
insert into items select 1 + g % 4, 'item ' || g, g * 1.25 from generate_series(1, 20) g where g % 7 <> 0;
select p.name, count(i.*), sum(price) from people p left join items i on i.person = p.id group by 1 order by 1;
select p.name, b.name as boss from people p full join people b on p.boss = b.id order by 1, 2;
select name, x.item from people p cross join lateral (select item from items where person = p.id order by price desc limit 2) x order by 1, 2;
with recursive up(id, name, path) as (
	select id, name, name from people where boss is null
	union all
	select p.id, p.name, up.path || '/' || p.name from people p join up on p.boss = up.id)
select path from up order by path;
with gone as (delete from items where price > 20 returning *), kept as (select count(*) from items)
select (select count(*) from gone), (select * from kept);
select name, item, price, rank() over w, sum(price) over w, lag(item) over w
	from people join items on person = id window w as (partition by name order by price desc) order by 1, 4, 2;
select person, grouping(person), sum(price) from items group by rollup (person) order by 1 nulls last;
select item from items order by price desc offset 2 fetch first 3 rows with ties;
insert into people values (1, 'Ann', null) on conflict (id) do update set name = excluded.name returning *;
merge into people p using (values (2, 'Ben'), (9, 'Zed')) v(id, name) on p.id = v.id
	when matched then update set name = v.name when not matched then insert values (v.id, v.name, null);
select * from people order by id;
select * from people where name ~ '[' ;
explain (costs off) select * from people where id = 1;
create view bosses as select distinct b.* from people p join people b on p.boss = b.id;
select * from bosses order by id;
drop table people;
drop table people cascade;

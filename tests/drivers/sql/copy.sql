-- COPY both ways, with errors.
set search_path = :schema;
create table c (id int, line text);
copy c from stdin;
1	one
2	\N
3	tab\there
\.
copy c to stdout;
copy c (line, id) from stdin with (format csv, header, null 'nil');
line,id
"a ""quoted"" one",4
nil,5
"two
lines",6
\.
copy (select * from c order by id) to stdout with (format csv, force_quote *);
copy c from stdin;
7	seven
eight	8
9	nine
\.
copy c from stdin;
10
\.
select count(*) from c;
begin;
copy c from stdin;
11	eleven
\.
copy c from stdin;
bad
\.
select 1;
rollback;
copy nowhere from stdin;
copy c to stdout with (format binary, header);
copy (select 1 / 0) to stdout;
copy c from stdin where id > 100;
99	below
101	above
\.
select count(*) from c;
create table big (id int, t text);
\copy (select g, repeat('x', g % 100) from generate_series(1, 3000) g) to program 'cksum'
insert into big select g, repeat('y', g % 50) from generate_series(1, 3000) g;
\copy big to program 'sort -n | cksum'
copy c from stdin \; select 'behind a copy';
12	twelve
\.
copy (select 1) to stdout \; copy (select 2) to stdout \; select 3 as three;

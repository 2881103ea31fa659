-- Cursors, also beyond their transaction.
declare lonely cursor for select 1;
begin;
declare c scroll cursor for select g, g * g as sq from generate_series(1, 20) g;
fetch 3 from c;
fetch backward 2 from c;
move absolute 10 from c;
fetch next from c;
fetch last from c;
select name, is_holdable, is_scrollable from pg_cursors order by 1;
close c;
fetch c;
rollback;
begin;
declare kept cursor with hold for select g from generate_series(1, 6) g;
fetch 2 from kept;
commit;
fetch 2 from kept;
select 'between';
select 'between';
fetch 2 from kept;
fetch 2 from kept;
close kept;
fetch 1 from kept;
begin;
declare lost cursor with hold for select 1;
rollback;
fetch lost;
\set FETCH_COUNT 7
select g from generate_series(1, 20) g;
select 10 / (10 - g) from generate_series(1, 20) g;
\unset FETCH_COUNT
declare kept cursor with hold for select 1;
close all;
fetch kept;

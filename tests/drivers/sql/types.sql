-- Values of many types, there and back.
create table :schema.types (
	b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(5), c char(5),
	y bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, j json, jb jsonb, u uuid,
	ip inet, m macaddr, p point, a int[], r int4range, bt bit(4), x xml);
set time zone 'Asia/Kathmandu';
set datestyle = 'ISO, DMY';
insert into :schema.types values (
	true, -32768, 2147483647, -9223372036854775808, 1.5, 'NaN', 12345678901234567890.123456789, E'a''b\\c\n',
	'vwxyz', 'ab', '\x00ff', '29/02/2024', '23:59:59.999999', '2024-02-29 12:00', '2024-02-29 12:00+00',
	'1 year 2 mons -3 days', '{"a": [1, null]}', '{"b": 1, "a": 2}', '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
	'10.0.0.0/8', '08:00:2b:01:02:03', '(1,2)', '{1,NULL,3}', '[1,5)', B'1010', null);
insert into :schema.types (i4) values (null), (0);
\x on
select * from :schema.types;
\x off
set time zone 'America/St_Johns';
set datestyle = 'German';
set intervalstyle = 'iso_8601';
set bytea_output = 'escape';
set extra_float_digits = -5;
select tz, ts, d, iv, y, 1.0::float8 / 3 from :schema.types;
reset datestyle;
reset intervalstyle;
reset bytea_output;
reset extra_float_digits;
select tz, ts, d, iv, y, 1.0::float8 / 3 from :schema.types;
create type :schema.mood as enum ('sad', 'ok', 'happy');
create domain :schema.positive as int check (value > 0);
create type :schema.pair as (a int, b text);
select 'ok':::schema.mood > 'sad', 5:::schema.positive, (1, 'x')::text, row(1, 'two')::text;
select 0::positive, 'bad'::int;
set search_path = :schema;
select 0::positive;
select 'glad'::mood;
select array[row(1, 'x'), row(2, null)]::pair[];
reset search_path;

'use strict';
// postgres.js: prepares and pipelines everything by itself, fetches types, listens on a connection of its own.

const postgres = require('postgres');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
const { schema, show, run, key, tls, countLocks, sleep, sleeping, raise } = require('./scenario.js');

const connect = async (options = {}) =>
	postgres({
		host: process.env.PGHOST, port: Number(process.env.PGPORT), database: process.env.PGDATABASE,
		user: process.env.PGUSER, ssl: tls(), max: 1, idle_timeout: 0,
		onnotice: (n) => show('notice', n.severity, n.code, n.message), ...options,
	});
const close = (sql) => sql.end({ timeout: 5 });

function showError(e) {
	show('error', e.severity || '', e.code || '', e.message, e.detail || '', e.constraint_name || '');
}

async function query(sql, text, values, options) {
	try {
		const r = await sql.unsafe(text, values, options);
		if (r.length > 0 && Array.isArray(r[0]))
			r.forEach((one) => show(one.command, one.count, [...one]));
		else
			show(r.command || '', r.count, (r.columns || []).map((c) => c.name), [...r]);
	} catch (e) {
		showError(e);
	}
}

const prepared = (sql, text, values) => query(sql, text, values, { prepare: true });

const scenarios = {
	async types(sql) {
		await query(sql, `create table ${schema}.types (i int, b bigint, n numeric, t text, y bytea, z timestamptz,
			j jsonb, a int[])`);
		for (let i = 0; i < 3; i++)
			show([...(await sql`insert into ${sql(schema)}.types values (${i}, ${'4611686018427387904'}, ${'1.50'}, ${"å'\\"},
				${Buffer.from([0, 1, 255])}, ${new Date(0)}, ${sql.json({ a: null })}, ${[1, 2]}) returning *`)]);
		show([...(await sql`insert into ${sql(schema)}.types (i, t) values ${sql([[7, null], [8, 'x']])} returning i, t`)]);
		for (const zone of ['Asia/Tokyo', 'America/Lima']) {
			await query(sql, `set time zone '${zone}'`);
			show([...(await sql`select z, z::text as t from ${sql(schema)}.types order by i`)]);
		}
	},
	async manyTimes(sql) {
		for (let i = 0; i < 30; i++) {
			show((await sql`select ${i}::int + 1 as x`)[0].x === i + 1);
			show((await sql.begin((t) => t`select ${i}::int * 2 as x`))[0].x === i * 2);
		}
	},
	async pipelined(sql) {
		const all = [];
		for (let i = 0; i < 40; i++)
			all.push((i % 9 === 4 ? sql`select 1 / ${0}::int as x` : sql.unsafe(`select $1::int + ${i % 6} as x`, [i], { prepare: true }))
				.then((r) => r[0].x === i + (i % 6), (e) => e.code));
		show(await Promise.all(all));
		show(await sql.begin((t) => [t`select 1 as a`, t`select ${2}::int as b`, t`select 3 as c`]));
	},
	async severalConnections() {
		const sql = await connect({ max: 4 });
		const all = [];
		for (let i = 0; i < 60; i++)
			all.push(sql.unsafe(`select $1::int + ${i % 6} as x`, [i], { prepare: true }).then((r) => r[0].x === i + (i % 6)));
		show((await Promise.all(all)).every((ok) => ok));
		await close(sql);
	},
	async withoutPreparing() {
		const sql = await connect({ prepare: false, fetch_types: false });
		for (let i = 0; i < 10; i++)
			show((await sql`select ${i}::int + 1 as x, ${'t'}::text as t`)[0]);
		await close(sql);
	},
	async altered(sql) {
		await query(sql, `create table ${schema}.alt (a int)`);
		await prepared(sql, `insert into ${schema}.alt values ($1)`, [1]);
		await prepared(sql, `select * from ${schema}.alt`);
		await query(sql, `alter table ${schema}.alt add column b text default 'new'`);
		await prepared(sql, `select * from ${schema}.alt`);
		await prepared(sql, `select * from ${schema}.alt`);
	},
	async discarded(sql) {
		for (const what of ['deallocate all', 'discard all', 'discard plans']) {
			await prepared(sql, 'select $1::int + 100 as x', [1]);
			await query(sql, what);
			await prepared(sql, 'select $1::int + 100 as x', [2]);
			await prepared(sql, 'select $1::int + 100 as x', [3]);
		}
	},
	async errors(sql) {
		await query(sql, 'selec');
		await prepared(sql, 'select nothing');
		await query(sql, `create table ${schema}.uniq (id int primary key)`);
		for (const i of [1, 2, 1])
			await prepared(sql, `insert into ${schema}.uniq values ($1)`, [i]);
		await sql.begin(async (t) => {
			await t`insert into ${sql(schema)}.uniq values (${3})`;
			await t.savepoint((s) => s`insert into ${sql(schema)}.uniq values (${1})`).catch(showError);
			await t`insert into ${sql(schema)}.uniq values (${4})`;
		});
		await sql.begin(async (t) => {
			await t`insert into ${sql(schema)}.uniq values (${5})`;
			throw new Error('own');
		}).catch((e) => show(e.message));
		await sql.begin('isolation level serializable read only', (t) => t`insert into ${sql(schema)}.uniq values (${9})`)
			.catch(showError);
		show([...(await sql`select * from ${sql(schema)}.uniq order by 1`)]);
		await query(sql, 'select 1 as a; select 2 as b');
		await query(sql, '');
	},
	async cursors(sql) {
		let sum = 0;
		await sql`select generate_series(1, ${1000}::int) as g`.cursor(77, (rows) => {
			rows.forEach((r) => (sum += r.g));
		});
		show(sum);
		for await (const [row] of sql`select generate_series(1, 5) as g`.cursor(1)) {
			show(row);
			if (row.g === 3)
				break;
		}
		await sql`select 10 / (10 - g) as q from generate_series(1, 20) g`.cursor(4, (rows) => show([...rows])).catch(showError);
		sum = 0;
		await sql`select g from generate_series(1, 500) g`.forEach((r) => (sum += r.g));
		show(sum);
		show((await sql`select ${1}::int as a`.describe()).columns.map((c) => [c.name, c.type]));
	},
	async copies(sql) {
		await query(sql, `create table ${schema}.c (id int, t text)`);
		const lines = (line, n) => Readable.from((function* () {
			for (let i = 0; i < n; i++)
				yield line;
		})());
		await pipeline(lines('1\tone\n', 5000), await sql`copy ${sql(schema)}.c from stdin`.writable());
		let size = 0;
		for await (const chunk of await sql`copy ${sql(schema)}.c to stdout`.readable())
			size += chunk.length;
		show(size);
		show([...(await sql`select count(*) from ${sql(schema)}.c`)]);
	},
	async cancel(sql) {
		const other = await connect();
		for (let i = 0; i < 3; i++) {
			const slept = sql.unsafe(sleep);
			slept.catch(showError);
			while ((await other.unsafe(sleeping))[0].n === 0)
				;
			slept.cancel();
			await slept.catch(() => {});
			show((await sql`select ${1}::int as x`)[0]);
		}
		await close(other);
	},
	async sessionState(sql) {
		await query(sql, 'set statement_timeout = 50');
		for (let i = 0; i < 3; i++)
			await prepared(sql, 'select pg_sleep($1)', [5]);
		await query(sql, 'reset statement_timeout');
		await query(sql, `set search_path = ${schema}`);
		await query(sql, 'create table here (id int)');
		await query(sql, 'create temporary table mine (id int)');
		for (let i = 0; i < 6; i++) {
			await prepared(sql, 'insert into mine values ($1)', [i]);
			await prepared(sql, 'insert into here values ($1)', [i]);
		}
		await query(sql, 'select count(*), (select count(*) from here) as here from mine');
		await prepared(sql, "select set_config('app.x', $1, false)", ["it's"]);
		await prepared(sql, 'select pg_advisory_lock($1)', [key]);
		for (let i = 0; i < 3; i++) {
			await query(sql, 'show app.x');
			await query(sql, countLocks);
		}
		await query(sql, 'discard all');
		await query(sql, countLocks);
		await query(sql, "select nullif(current_setting('app.x', true), '')");
	},
	async listenNotify(sql) {
		const heard = [];
		const { unlisten } = await sql.listen(schema, (payload) => heard.push(payload));
		for (let i = 0; i < 3; i++)
			await sql.notify(schema, 'n' + i);
		for (let i = 0; i < 200 && heard.length < 3; i++)
			await new Promise((go) => setTimeout(go, 20));
		show(heard);
		await unlisten();
	},
	async notices(sql) {
		await query(sql, raise);
		await query(sql, `drop table if exists ${schema}.nothing`);
	},
	async reserved() {
		const sql = await connect({ max: 3 });
		const one = await sql.reserve();
		for (let i = 0; i < 4; i++)
			show((await one`select ${i}::int as x`)[0]);
		one.release();
		show((await sql`select ${'y'}::text as y`)[0]);
		await close(sql);
	},
	async startupParameters() {
		const sql = await connect({ connection: { application_name: 'me too', work_mem: '7MB', geqo: 'off' } });
		for (let i = 0; i < 3; i++)
			show((await sql`select current_setting('work_mem') as w, current_setting('geqo') as g, current_setting('application_name') as a`)[0]);
		await close(sql);
	},
	async large(sql) {
		const r = (await sql`select ${'x'.repeat(1000000)}::text as x, repeat('y', 1000000) as y`)[0];
		show(r.x.length, r.y.length);
		const rows = await sql`select g, md5(g::text) from generate_series(1, ${10000}::int) g`;
		show(rows.length, rows[9999]);
	},
};

run(scenarios, connect, close);

'use strict';
// What the Node programs share: scenarios by name, one block of output for each.

const fs = require('fs');

const schema = process.argv[2];
const key = [...schema].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 1000003, 7);

function show(...what) {
	console.log(...what.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))));
}

async function run(scenarios, connect, close) {
	for (const [name, scenario] of Object.entries(scenarios)) {
		show('==', name);
		try {
			const conn = await connect();
			try {
				await scenario(conn);
			} finally {
				await close(conn);
			}
		} catch (e) {
			show('!!', e.name, e.message);
		}
	}
	process.exit(0);
}

module.exports = {
	schema,
	show,
	run,
	key,
	tls: () => ({
		ca: fs.readFileSync(process.env.PGSSLROOTCERT),
		cert: fs.readFileSync(process.env.PGSSLCERT),
		key: fs.readFileSync(process.env.PGSSLKEY),
	}),
	countLocks: `select count(*)::int from pg_locks where locktype = 'advisory' and objid::bigint = ${key}`,
	sleep: `select /* ${schema}-sleeps */ pg_sleep(10)`,
	sleeping:
		"select count(*)::int as n from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()" +
		` and query like '%${schema}-sleeps%'`,
	raise: "do $$ begin raise notice 'first'; raise warning 'second' using hint = 'hint'; end $$",
};

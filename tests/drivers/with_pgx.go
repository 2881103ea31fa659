// pgx: statements in a cache, prepared or described only, the simple protocol, batches, CopyFrom.
package main

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgconn/stmtcache"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
)

var (
	ctx    = context.Background()
	schema string
	key    int64
)

func show(what ...interface{}) { fmt.Println(what...) }

func connect(change func(*pgx.ConnConfig)) *pgx.Conn {
	config, err := pgx.ParseConfig("")
	if err != nil {
		panic(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { show("notice", n.Severity, n.Code, n.Message) }
	if change != nil {
		change(config)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		panic(err)
	}
	return conn
}

func showError(err error) {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		show("error", e.Severity, e.Code, e.Message, e.Detail, e.ConstraintName, e.Position)
	} else if err != nil {
		show("error", err)
	}
}

type querier interface {
	Query(context.Context, string, ...interface{}) (pgx.Rows, error)
}

func query(c querier, sql string, values ...interface{}) {
	rows, err := c.Query(ctx, sql, values...)
	if err != nil {
		showError(err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			showError(err)
			return
		}
		show("  ", fmt.Sprintf("%v", row))
	}
	if rows.Err() != nil {
		showError(rows.Err())
		return
	}
	show(rows.CommandTag())
}

func types(c *pgx.Conn) {
	query(c, "create table "+schema+".types (i int, n numeric, t text, y bytea, z timestamptz, j jsonb, a int[])")
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for i := 0; i < 3; i++ {
		_, err := c.Exec(ctx, "insert into "+schema+".types values ($1, $2, $3, $4, $5, $6, $7)", i, "1.50", "å'\\",
			[]byte{0, 1, 255}, at, `{"a": null}`, []int{1, 2})
		showError(err)
	}
	query(c, "insert into "+schema+".types (i) values ($1) returning *", nil)
	for _, zone := range []string{"Asia/Tokyo", "America/Lima"} {
		query(c, "set time zone '"+zone+"'")
		query(c, "select z::text, n::text, t, y, a from "+schema+".types where i >= $1", 0)
	}
	var values pgtype.Int4Array
	showError(c.QueryRow(ctx, "select $1::int[]", []int32{3, 4}).Scan(&values))
	show(len(values.Elements))
}

func cached(c *pgx.Conn) {
	for i := 0; i < 100; i++ {
		k, x, text := i*7%19, 0, ""
		tx, err := c.Begin(ctx)
		showError(err)
		showError(tx.QueryRow(ctx, fmt.Sprintf("select $1::int + %d, $2::text", k), i, fmt.Sprint(k)).Scan(&x, &text))
		if x != i+k || text != fmt.Sprint(k) {
			show("wrong", i, x, text)
		}
		if i%3 == 0 {
			showError(tx.Rollback(ctx))
		} else {
			showError(tx.Commit(ctx))
		}
	}
}

func prepared(c *pgx.Conn) {
	for i := 0; i < 5; i++ {
		s, err := c.Prepare(ctx, fmt.Sprint("s", i), fmt.Sprintf("select $1::int * %d as x", i))
		showError(err)
		show(s.ParamOIDs, string(s.Fields[0].Name))
	}
	for i := 0; i < 40; i++ {
		x := 0
		showError(c.QueryRow(ctx, fmt.Sprint("s", i*3%5), i).Scan(&x))
		show(x == i*(i*3%5))
	}
	showError(c.Deallocate(ctx, "s1"))
	_, err := c.Prepare(ctx, "s1", "select $1::text || '!'")
	showError(err)
	query(c, "s1", "again")
	_, err = c.Prepare(ctx, "bad", "select nothing")
	showError(err)
	query(c, "deallocate all")
	query(c, "s2", 1)
	query(c, "select 'goes on'")
}

func altered(c *pgx.Conn) {
	query(c, "create table "+schema+".alt (a int)")
	query(c, "insert into "+schema+".alt values ($1)", 1)
	for i := 0; i < 2; i++ {
		query(c, "select * from "+schema+".alt")
	}
	query(c, "alter table "+schema+".alt add column b text default 'new'")
	for i := 0; i < 3; i++ {
		query(c, "select * from "+schema+".alt")
	}
}

func failures(c *pgx.Conn) {
	query(c, "selec $1", 1)
	query(c, "create table "+schema+".uniq (id int primary key)")
	for _, i := range []int{1, 2, 1} {
		query(c, "insert into "+schema+".uniq values ($1)", i)
	}
	query(c, "select 1 / $1::int", 0)
	query(c, "select $1::int", "x")
	tx, err := c.Begin(ctx)
	showError(err)
	query(tx, "insert into "+schema+".uniq values ($1)", 3)
	nested, err := tx.Begin(ctx)
	showError(err)
	query(nested, "insert into "+schema+".uniq values ($1)", 3)
	query(nested, "select $1::int", 1)
	showError(nested.Rollback(ctx))
	query(tx, "insert into "+schema+".uniq values ($1)", 4)
	showError(tx.Commit(ctx))
	tx, _ = c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly})
	query(tx, "insert into "+schema+".uniq values ($1)", 5)
	showError(tx.Commit(ctx))
	query(c, "select * from "+schema+".uniq order by 1")
}

func batches(c *pgx.Conn) {
	query(c, "create table "+schema+".batch (id int primary key)")
	for round := 0; round < 4; round++ {
		b := &pgx.Batch{}
		for i := 0; i < 10; i++ {
			b.Queue("insert into "+schema+".batch values ($1)", round*7+i)
			b.Queue("select $1::int + 1", i)
		}
		results := c.SendBatch(ctx, b)
		for i := 0; i < 10; i++ {
			_, err := results.Exec()
			x := 0
			err2 := results.QueryRow().Scan(&x)
			if err != nil || err2 != nil {
				showError(err)
				break
			}
			show(x == i+1)
		}
		showError(results.Close())
	}
	query(c, "select count(*), sum(id) from "+schema+".batch")
}

func copies(c *pgx.Conn) {
	query(c, "create table "+schema+".c (id int primary key, t text)")
	rows := [][]interface{}{}
	for i := 0; i < 3000; i++ {
		rows = append(rows, []interface{}{i, fmt.Sprint("line ", i)})
	}
	for i := 0; i < 2; i++ {
		n, err := c.CopyFrom(ctx, pgx.Identifier{schema, "c"}, []string{"id", "t"}, pgx.CopyFromRows(rows))
		show(n)
		showError(err)
	}
	out := &strings.Builder{}
	tag, err := c.PgConn().CopyTo(ctx, out, "copy "+schema+".c to stdout")
	show(tag, out.Len())
	showError(err)
	_, err = c.PgConn().CopyTo(ctx, out, "copy (select 1 / (3000 - g) from generate_series(1, 9000) g) to stdout")
	showError(err)
	for _, bad := range []string{"1\n", "x\ty\n"} {
		_, err = c.PgConn().CopyFrom(ctx, strings.NewReader(strings.Repeat(bad, 9000)), "copy "+schema+".c from stdin")
		showError(err)
	}
	query(c, "select count(*) from "+schema+".c")
}

func cancel(c *pgx.Conn) {
	other := connect(nil)
	defer other.Close(ctx)
	for i := 0; i < 3; i++ {
		done := make(chan bool)
		go func() {
			for n := 0; n == 0; {
				err := other.QueryRow(ctx, "select count(*) from pg_stat_activity where state = 'active' and "+
					"pid <> pg_backend_pid() and query like '%"+schema+"-sleeps%'").Scan(&n)
				if err != nil {
					showError(err)
					break
				}
			}
			showError(c.PgConn().CancelRequest(ctx))
			done <- true
		}()
		_, err := c.Exec(ctx, "select /* "+schema+"-sleeps */ pg_sleep(10)")
		showError(err)
		<-done
		query(c, "select $1::int", i)
	}
}

func sessionState(c *pgx.Conn) {
	query(c, "set statement_timeout = 50")
	for i := 0; i < 3; i++ {
		query(c, "select 1 from pg_sleep($1)", 5)
	}
	query(c, "reset statement_timeout")
	query(c, "set search_path = "+schema)
	query(c, "create table here (id int)")
	query(c, "create temporary table mine (id int)")
	for i := 0; i < 6; i++ {
		query(c, "insert into mine values ($1)", i)
		query(c, "insert into here values ($1)", i)
	}
	query(c, "select count(*), (select count(*) from here) from mine")
	query(c, "select set_config('app.x', $1, false)", "it's")
	query(c, "select 1 from pg_advisory_lock($1)", key)
	for i := 0; i < 3; i++ {
		query(c, "show app.x")
		query(c, "select count(*) from pg_locks where locktype = 'advisory' and objid = $1", key)
	}
	query(c, "select pg_advisory_unlock($1)", key)
}

func listenNotify(c *pgx.Conn) {
	query(c, "listen "+schema)
	other := connect(nil)
	for i := 0; i < 3; i++ {
		query(other, "select 1 from pg_notify($1, $2)", schema, fmt.Sprint("n", i))
	}
	other.Close(ctx)
	for i := 0; i < 3; i++ {
		within, stop := context.WithTimeout(ctx, 5*time.Second)
		n, err := c.WaitForNotification(within)
		stop()
		if err != nil {
			show("nothing came")
			return
		}
		show(n.Channel, n.Payload)
	}
	query(c, "unlisten *")
}

func modes(_ *pgx.Conn) {
	for name, change := range map[string]func(*pgx.ConnConfig){
		"0 describe": func(c *pgx.ConnConfig) {
			c.BuildStatementCache = func(conn *pgconn.PgConn) stmtcache.Cache {
				return stmtcache.New(conn, stmtcache.ModeDescribe, 4)
			}
		},
		"1 few": func(c *pgx.ConnConfig) {
			c.BuildStatementCache = func(conn *pgconn.PgConn) stmtcache.Cache {
				return stmtcache.New(conn, stmtcache.ModePrepare, 3)
			}
		},
		"2 none":   func(c *pgx.ConnConfig) { c.BuildStatementCache = nil },
		"3 simple": func(c *pgx.ConnConfig) { c.PreferSimpleProtocol = true; c.BuildStatementCache = nil },
	} {
		c := connect(change)
		right := true
		for i := 0; i < 60; i++ {
			k, x := i*5%11, 0
			err := c.QueryRow(ctx, fmt.Sprintf("select $1::int + %d", k), i).Scan(&x)
			right = right && err == nil && x == i+k
		}
		if !right {
			show("wrong in mode", name)
		}
		c.Close(ctx)
	}
	show("four modes")
}

func several(c *pgx.Conn) {
	results, err := c.PgConn().Exec(ctx, "select 1; select 2; create table "+schema+".s (id int)").ReadAll()
	showError(err)
	for _, r := range results {
		show(r.CommandTag, fmt.Sprintf("%s", r.Rows))
	}
	_, err = c.PgConn().Exec(ctx, "select 1; select 1 / 0; select 2").ReadAll()
	showError(err)
	query(c, "do $$ begin raise notice 'first'; raise warning 'second'; end $$")
	query(c, "drop table if exists "+schema+".nothing")
	query(c, "")
}

func startupParameters(_ *pgx.Conn) {
	c := connect(func(config *pgx.ConnConfig) {
		config.RuntimeParams = map[string]string{"application_name": "me too", "work_mem": "7MB", "search_path": schema}
	})
	for i := 0; i < 3; i++ {
		query(c, "select current_setting('work_mem'), current_setting('application_name'), current_setting('search_path')")
	}
	show(c.PgConn().ParameterStatus("application_name"), c.PgConn().ParameterStatus("TimeZone"))
	c.Close(ctx)
}

// In the simple protocol it goes by what the server reports.
func spellings(_ *pgx.Conn) {
	c := connect(func(config *pgx.ConnConfig) {
		config.RuntimeParams = map[string]string{"client_encoding": "utf8", "standard_conforming_strings": "1"}
		config.PreferSimpleProtocol, config.BuildStatementCache = true, nil
	})
	query(c, "select $1::text, $2::int", "ü", 7)
	show(c.PgConn().ParameterStatus("client_encoding"), c.PgConn().ParameterStatus("standard_conforming_strings"))
	c.Close(ctx)
}

func large(c *pgx.Conn) {
	var x, y string
	showError(c.QueryRow(ctx, "select $1::text, repeat('y', 1000000)", strings.Repeat("x", 1000000)).Scan(&x, &y))
	show(len(x), len(y))
	rows, err := c.Query(ctx, "select g, md5(g::text) from generate_series(1, $1::int) g", 10000)
	showError(err)
	sum, n := 0, 0
	for rows.Next() {
		g := 0
		showError(rows.Scan(&g, &x))
		sum += g
		n++
	}
	show(n, sum, x)
}

func main() {
	schema = os.Args[1]
	hash := sha1.Sum([]byte(schema))
	key = int64(hash[0])<<16 + int64(hash[1])<<8 + int64(hash[2])
	for _, s := range []struct {
		name string
		run  func(*pgx.Conn)
	}{{"types", types}, {"cached", cached}, {"prepared", prepared}, {"altered", altered}, {"failures", failures},
		{"batches", batches}, {"copies", copies}, {"cancel", cancel}, {"session_state", sessionState},
		{"listen_notify", listenNotify}, {"modes", modes}, {"several", several},
		{"startup_parameters", startupParameters}, {"spellings", spellings}, {"large", large}} {
		show("==", s.name)
		c := connect(nil)
		s.run(c)
		c.Close(ctx)
	}
}

// lib/pq: parameters by an unnamed statement that is parsed, synchronised and bound; COPY; a listener.
package main

import (
	"context"
	"crypto/sha1"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"
)

var (
	ctx    = context.Background()
	schema string
	key    int64
)

func show(what ...interface{}) { fmt.Println(what...) }

func showError(err error) {
	var e *pq.Error
	if errors.As(err, &e) {
		show("error", e.Severity, e.Code, e.Message, e.Detail, e.Constraint, e.Position)
	} else if err != nil {
		show("error", err)
	}
}

// open returns one connection of a pool that has no other.
func open(dsn string) (*sql.DB, *sql.Conn) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		panic(err)
	}
	c, err := db.Conn(ctx)
	if err != nil {
		panic(err)
	}
	return db, c
}

type querier interface {
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
}

func query(c querier, text string, values ...interface{}) {
	rows, err := c.QueryContext(ctx, text, values...)
	if err != nil {
		showError(err)
		return
	}
	defer rows.Close()
	for more := true; more; more = rows.NextResultSet() {
		names, _ := rows.Columns()
		for rows.Next() {
			row := make([]sql.NullString, len(names)) // bytea too: its bytes are quoted
			at := make([]interface{}, len(names))
			for i := range row {
				at[i] = &row[i]
			}
			showError(rows.Scan(at...))
			show(fmt.Sprintf("   %q", row))
		}
		show(names)
	}
	showError(rows.Err())
}

func parameters(c *sql.Conn) {
	query(c, "create table "+schema+".types (i int, n numeric, t text, y bytea, z timestamptz, a int[])")
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for i := 0; i < 20; i++ {
		query(c, "insert into "+schema+".types values ($1, $2, $3, $4, $5, $6) returning i, t, y, a", i, "1.50", "å'\\",
			[]byte{0, 1, 255}, at, pq.Array([]int{1, i}))
	}
	for _, zone := range []string{"Asia/Tokyo", "America/Lima"} {
		query(c, "set time zone '"+zone+"'")
		query(c, "select z::text, n, t from "+schema+".types where i > $1", 18)
	}
	query(c, "select $1::int", nil)
	query(c, "select $1::int", "x")
}

func statements(c *sql.Conn) {
	all := []*sql.Stmt{}
	for k := 0; k < 6; k++ {
		s, err := c.PrepareContext(ctx, fmt.Sprintf("select $1::int * %d", k))
		showError(err)
		all = append(all, s)
	}
	for i := 0; i < 50; i++ {
		x, k := 0, i*5%6
		showError(all[k].QueryRow(i).Scan(&x))
		show(x == i*k)
		if i == 30 {
			showError(all[0].Close())
			s, err := c.PrepareContext(ctx, "select $1::int * 0 ")
			showError(err)
			all[0] = s
		}
	}
	query(c, "discard all")
	x := 0
	showError(all[1].QueryRow(1).Scan(&x))
	_, err := c.PrepareContext(ctx, "select nothing")
	showError(err)
	query(c, "select $1::int", 3)
}

func binaryParameters(_ *sql.Conn) {
	db, c := open("binary_parameters=yes")
	for i := 0; i < 20; i++ {
		query(c, "select $1::int + 1, $2::text", i, "t")
	}
	query(c, "select 1 / $1::int", 0)
	c.Close()
	db.Close()
}

func altered(c *sql.Conn) {
	query(c, "create table "+schema+".alt (a int); insert into "+schema+".alt values (1)")
	s, err := c.PrepareContext(ctx, "select * from "+schema+".alt")
	showError(err)
	for i := 0; i < 2; i++ {
		rows, err := s.Query()
		showError(err)
		if err == nil {
			show(rows.Next())
			rows.Close()
		}
		query(c, "alter table "+schema+".alt add column b text")
	}
}

func transactions(c *sql.Conn) {
	query(c, "create table "+schema+".uniq (id int primary key)")
	for _, i := range []int{1, 2, 1} {
		query(c, "insert into "+schema+".uniq values ($1)", i)
	}
	for _, level := range []sql.IsolationLevel{sql.LevelSerializable, sql.LevelRepeatableRead, sql.LevelDefault} {
		tx, err := c.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: level == sql.LevelRepeatableRead})
		showError(err)
		query(tx, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')")
		query(tx, "savepoint a")
		query(tx, "insert into "+schema+".uniq values ($1)", 1)
		query(tx, "select $1::int", 1)
		query(tx, "rollback to a")
		query(tx, "insert into "+schema+".uniq values ($1)", 10+int(level))
		showError(tx.Commit())
	}
	query(c, "select * from "+schema+".uniq order by 1")
	query(c, "select 1; select 2")
	query(c, "select 1; select 1 / 0")
	query(c, "")
}

func copies(c *sql.Conn) {
	query(c, "create table "+schema+".c (id int primary key, t text)")
	for _, first := range []int{0, 5000, 2500} {
		tx, err := c.BeginTx(ctx, nil)
		showError(err)
		s, err := tx.Prepare(pq.CopyInSchema(schema, "c", "id", "t"))
		showError(err)
		for i := 0; i < 3000; i++ {
			if _, err = s.Exec(first+i, "line"); err != nil {
				break
			}
		}
		if err == nil {
			_, err = s.Exec()
		}
		showError(err)
		s.Close()
		if err != nil {
			showError(tx.Rollback())
		} else {
			showError(tx.Commit())
		}
	}
	query(c, "select count(*), sum(id) from "+schema+".c")
}

// A connection whose query was cancelled is given up by lib/pq itself.
func cancel(_ *sql.Conn) {
	for i := 0; i < 3; i++ {
		db, c := open("")
		watching, other := open("")
		within, stop := context.WithCancel(ctx)
		done := make(chan bool)
		go func() {
			for n := 0; n == 0; {
				if err := other.QueryRowContext(ctx, "select count(*) from pg_stat_activity where state = 'active' and "+
					"pid <> pg_backend_pid() and query like '%"+schema+"-sleeps%'").Scan(&n); err != nil {
					showError(err)
					break
				}
			}
			stop()
			done <- true
		}()
		_, err := c.ExecContext(within, "select /* "+schema+"-sleeps */ pg_sleep(10)")
		showError(err)
		<-done
		other.Close()
		watching.Close()
		c.Close()
		db.Close()
	}
}

func sessionState(c *sql.Conn) {
	query(c, "set statement_timeout = 50")
	for i := 0; i < 3; i++ {
		query(c, "select pg_sleep($1)", 5)
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
	query(c, "select pg_advisory_lock($1)", key)
	for i := 0; i < 3; i++ {
		query(c, "show app.x")
		query(c, "select count(*) from pg_locks where locktype = 'advisory' and objid = $1", key)
	}
	query(c, "select pg_advisory_unlock($1)", key)
}

func listener(c *sql.Conn) {
	l := pq.NewListener("", time.Second, time.Second, func(_ pq.ListenerEventType, err error) { showError(err) })
	showError(l.Listen(schema))
	showError(l.Listen(schema + "_2"))
	for i := 0; i < 4; i++ {
		query(c, "select pg_notify($1, $2)", []string{schema, schema + "_2"}[i%2], fmt.Sprint("n", i))
	}
	for i := 0; i < 4; i++ {
		select {
		case n := <-l.Notify:
			show(n.Channel, n.Extra)
		case <-time.After(5 * time.Second):
			show("nothing came")
			i = 4
		}
	}
	showError(l.Unlisten(schema))
	showError(l.Ping())
	showError(l.Close())
}

func startupParameters(_ *sql.Conn) {
	db, c := open("application_name=me work_mem=7MB search_path=" + schema)
	for i := 0; i < 3; i++ {
		query(c, "select current_setting('work_mem'), current_setting('application_name'), current_setting('search_path')")
	}
	c.Close()
	db.Close()
}

func pooled(_ *sql.Conn) {
	db, err := sql.Open("postgres", "")
	showError(err)
	db.SetMaxOpenConns(4)
	s, err := db.Prepare("select $1::int + 7")
	showError(err)
	wrong := make(chan int)
	for g := 0; g < 6; g++ {
		go func(g int) {
			n := 0
			for i := 0; i < 20; i++ {
				x := 0
				if err := s.QueryRow(g * i).Scan(&x); err != nil || x != g*i+7 {
					n++
				}
			}
			wrong <- n
		}(g)
	}
	for g := 0; g < 6; g++ {
		show(<-wrong)
	}
	db.Close()
}

func large(c *sql.Conn) {
	x, y := "", ""
	showError(c.QueryRowContext(ctx, "select $1::text, repeat('y', 1000000)", strings.Repeat("x", 1000000)).Scan(&x, &y))
	show(len(x), len(y))
	rows, err := c.QueryContext(ctx, "select g, md5(g::text) from generate_series(1, $1::int) g", 10000)
	showError(err)
	defer rows.Close()
	sum, g := 0, 0
	for rows.Next() {
		showError(rows.Scan(&g, &x))
		sum += g
	}
	show(sum, x)
}

func main() {
	schema = os.Args[1]
	hash := sha1.Sum([]byte(schema))
	key = int64(hash[0])<<16 + int64(hash[1])<<8 + int64(hash[2])
	for _, s := range []struct {
		name string
		run  func(*sql.Conn)
	}{{"parameters", parameters}, {"statements", statements}, {"binary_parameters", binaryParameters}, {"altered", altered},
		{"transactions", transactions}, {"copies", copies}, {"cancel", cancel}, {"session_state", sessionState},
		{"listener", listener}, {"startup_parameters", startupParameters}, {"pooled", pooled}, {"large", large}} {
		show("==", s.name)
		db, c := open("")
		s.run(c)
		c.Close()
		db.Close()
	}
}

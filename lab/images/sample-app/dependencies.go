package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// probes tells for each dependency whether it works: a real answer in its own protocol, not just an open port.
var probes = map[string]func(context.Context, settings) error{
	"postgres": probePostgres,
	"redis":    probeRedis,
	"rabbitmq": probeRabbit,
}

// connect uses DATABASE_URL, or PGHOST and its kin when it is empty.
func connect(ctx context.Context, s settings) (*pgx.Conn, error) {
	if _, hasDeadline := ctx.Deadline(); !hasDeadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	config, err := pgx.ParseConfig(s.databaseURL)
	if err != nil {
		// pgx's own text may hold the password.
		return nil, errors.New("DATABASE_URL cannot be parsed")
	}
	return pgx.ConnectConfig(ctx, config)
}

func probePostgres(ctx context.Context, s settings) error {
	connection, err := connect(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	return connection.Ping(ctx)
}

func countRows(ctx context.Context, s settings) (int64, error) {
	connection, err := connect(ctx, s)
	if err != nil {
		return 0, err
	}
	defer func() { _ = connection.Close(ctx) }()
	var rows int64
	err = connection.QueryRow(ctx, s.countQuery).Scan(&rows)
	return rows, err
}

// dial connects to the host of a URL, with the port of its scheme when it names none.
func dial(ctx context.Context, address, port string) (net.Conn, *url.URL, error) {
	target, err := url.Parse(address)
	if err != nil || target.Hostname() == "" {
		return nil, nil, errors.New("the address is no URL")
	}
	if target.Port() != "" {
		port = target.Port()
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(target.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetDeadline(deadline)
	}
	return connection, target, nil
}

// probeRedis sends AUTH when the URL has a password, and PING.
func probeRedis(ctx context.Context, s settings) error {
	connection, target, err := dial(ctx, s.redisURL, "6379")
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	lines := bufio.NewReader(connection)
	ask := func(words ...string) (string, error) {
		fmt.Fprintf(connection, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(connection, "$%d\r\n%s\r\n", len(word), word)
		}
		line, err := lines.ReadString('\n')
		return strings.TrimSpace(line), err
	}
	if password, given := target.User.Password(); given && password != "" {
		words := []string{"AUTH", password}
		if user := target.User.Username(); user != "" {
			words = []string{"AUTH", user, password}
		}
		if line, err := ask(words...); err != nil || line != "+OK" {
			return fmt.Errorf("redis refused the password: %s", strings.Trim(line, "-"))
		}
	}
	line, err := ask("PING")
	if err == nil && line != "+PONG" {
		err = fmt.Errorf("redis answered '%s'", line)
	}
	return err
}

// probeRabbit greets the broker and expects the Connection.Start frame of AMQP 0-9-1.
func probeRabbit(ctx context.Context, s settings) error {
	connection, _, err := dial(ctx, s.amqpURL, "5672")
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if _, err := connection.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	frame := make([]byte, 11)
	if _, err := io.ReadFull(connection, frame); err != nil {
		return err
	}
	// Frame type 1 (method) on channel 0; class 10, method 10.
	if frame[0] != 1 || frame[8] != 10 || frame[10] != 10 {
		return fmt.Errorf("the broker does not speak AMQP 0-9-1")
	}
	return nil
}

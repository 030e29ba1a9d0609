package main

import (
	"bufio"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// newTestApp makes an app of the given variables.
func newTestApp(t *testing.T, env map[string]string) *app {
	t.Helper()
	s, err := fromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return newApp(s)
}

func get(a *app, path string) (int, string) {
	recorder := httptest.NewRecorder()
	a.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
	return recorder.Code, recorder.Body.String()
}

// listen serves each connection with f and returns the address.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = connection.Close() }(); f(connection) }()
		}
	}()
	return listener.Addr().String()
}

func closedPort(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func fakeRedis(t *testing.T) string {
	return listen(t, func(connection net.Conn) {
		lines := bufio.NewReader(connection)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			switch strings.TrimSpace(line) {
			case "PING":
				_, _ = connection.Write([]byte("+PONG\r\n"))
			case "s3cret":
				_, _ = connection.Write([]byte("+OK\r\n"))
			case "wrong":
				_, _ = connection.Write([]byte("-WRONGPASS\r\n"))
			}
		}
	})
}

func fakeRabbit(t *testing.T) string {
	return listen(t, func(connection net.Conn) {
		greeting := make([]byte, 8)
		if _, err := connection.Read(greeting); err == nil && string(greeting[:4]) == "AMQP" {
			_, _ = connection.Write([]byte{1, 0, 0, 0, 0, 1, 0, 0, 10, 0, 10, 0, 9})
		}
		_, _ = connection.Read(greeting)
	})
}

func TestHealthPathsAndOthers(t *testing.T) {
	a := newTestApp(t, map[string]string{"APP_VERSION": "1.2.3", "ECHO_ENV": "GREETING", "GREETING": "hello", "SECRET": "x"})
	for path, want := range map[string]int{
		"/": 200, "/health": 200, "/health/live": 200, "/health/ready": 200, "/healthz": 200, "/api/health/ready": 200,
		"/nosuch": 404, "/version": 200, "/env?name=GREETING": 200, "/env?name=SECRET": 403,
	} {
		if code, body := get(a, path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	if _, body := get(a, "/version"); !strings.Contains(body, `"1.2.3"`) {
		t.Errorf("version: %s", body)
	}
	if _, body := get(a, "/env?name=GREETING"); !strings.Contains(body, `"hello"`) {
		t.Errorf("env: %s", body)
	}
}

func TestReadinessFollowsDependencies(t *testing.T) {
	down := "redis://" + closedPort(t)
	up := map[string]string{
		"READY_REQUIRES": "redis,rabbitmq",
		"REDIS_URL":      "redis://:s3cret@" + fakeRedis(t), "AMQP_URL": "amqp://u:p@" + fakeRabbit(t),
	}
	if code, body := get(newTestApp(t, up), "/health/ready"); code != 200 {
		t.Errorf("all up: %d %s", code, body)
	}
	up["REDIS_URL"] = "redis://:wrong@" + fakeRedis(t)
	if code, body := get(newTestApp(t, up), "/health/ready"); code != 503 || !strings.Contains(body, "refused the password") {
		t.Errorf("wrong password: %d %s", code, body)
	}
	up["REDIS_URL"] = down
	if code, _ := get(newTestApp(t, up), "/api/health/ready"); code != 503 {
		t.Errorf("redis down: %d", code)
	}
	if code, _ := get(newTestApp(t, up), "/health/live"); code != 200 {
		t.Errorf("liveness must not depend on redis: %d", code)
	}
	up["READINESS_REQUIRE_DEPENDENCIES"] = "false"
	if code, body := get(newTestApp(t, up), "/health/ready"); code != 200 || !strings.Contains(body, "refused") {
		t.Errorf("not required, but reported: %d %s", code, body)
	}
}

func TestPostgresDownIsReported(t *testing.T) {
	a := newTestApp(t, map[string]string{"READY_REQUIRES": "postgres", "DATABASE_URL": "postgres://u:hush@" + closedPort(t) + "/d"})
	code, body := get(a, "/health/ready")
	if code != 503 || strings.Contains(body, "hush") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get(a, "/count"); code != 503 {
		t.Errorf("count without a database: %d", code)
	}
}

func TestStartupLatencyAndErrors(t *testing.T) {
	a := newTestApp(t, map[string]string{"STARTUP_SECONDS": "0.2", "LATENCY_MS": "30"})
	begin := time.Now()
	if code, _ := get(a, "/health"); code != 503 {
		t.Errorf("starting: %d", code)
	}
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("no latency: %s", took)
	}
	time.Sleep(200 * time.Millisecond)
	if code, _ := get(a, "/health"); code != 200 {
		t.Errorf("started: %d", code)
	}
	if code, _ := get(newTestApp(t, map[string]string{"ERROR_RATE": "1"}), "/health"); code != 503 {
		t.Errorf("error rate 1: %d", code)
	}
}

func TestHogKeepsMemory(t *testing.T) {
	a := newTestApp(t, map[string]string{"MEMORY_HOG_MB": "3"})
	get(a, "/hog")
	if _, body := get(a, "/hog"); !strings.Contains(body, `"megabytes":6`) {
		t.Error(body)
	}
}

func TestBadSettingsNameTheVariable(t *testing.T) {
	for name, value := range map[string]string{
		"PORTS": "80,http", "READY_REQUIRES": "mysql", "LATENCY_MS": "fast", "STARTUP_SECONDS": "-1",
	} {
		_, err := fromEnvironment(func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestWaitTCP(t *testing.T) {
	address := listen(t, func(net.Conn) {})
	if err := waitTCP(address, time.Second); err != nil {
		t.Error(err)
	}
	if err := waitTCP(closedPort(t), 300*time.Millisecond); err == nil {
		t.Error("no error for a closed port")
	}
	if code := tool([]string{"wait", "udp"}); code != 2 {
		t.Errorf("usage: %d", code)
	}
}

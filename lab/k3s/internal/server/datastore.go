package server

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/client"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	_ "github.com/k3s-io/kine/pkg/drivers/sqlite" // the default driver
	"github.com/k3s-io/kine/pkg/endpoint"
	"github.com/sirupsen/logrus"
)

// datastore is kine on server/db/state.db, answering on server/kine.sock.
type datastore struct {
	client client.Client
	cancel context.CancelFunc
	group  *sync.WaitGroup
}

// openDatastore starts kine in the working directory, as k3s does: with a damaged database it does not return.
func openDatastore(ctx context.Context) (*datastore, error) {
	inner, cancel := context.WithCancel(context.Background())
	group := &sync.WaitGroup{}
	etcd, err := endpoint.Listen(inner, endpoint.Config{
		WaitGroup:            group,
		Listener:             endpoint.KineSocket,
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 20, MaxIdleTime: 2 * time.Minute},
		NotifyInterval:       5 * time.Second,
		EmulatedETCDVersion:  "3.6.11",
		CompactTimeout:       5 * time.Second,
		CompactMinRetain:     1000,
		CompactBatchSize:     1000,
		PollBatchSize:        500,
	})
	if err != nil {
		cancel()
		if damaged(err) {
			return nil, hang(ctx, err)
		}
		return nil, err
	}
	etcd.Endpoints = []string{endpoint.KineSocket}
	store, err := client.New(etcd)
	if err != nil {
		cancel()
		return nil, err
	}
	return &datastore{client: store, cancel: cancel, group: group}, nil
}

// damaged tells whether SQLite found that its file is not a sound database. A record that the list of all records lacks
// and that exists when it is to be made is the same: table and index disagree.
func damaged(err error) bool {
	for _, text := range []string{"database disk image is malformed", "file is not a database", "key exists"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// hang waits for the end: with a damaged database k3s says no more than what kine has logged, and neither ends nor gets ready.
func hang(ctx context.Context, reason error) error {
	logrus.Debugf("Datastore: %v", reason)
	<-ctx.Done()
	return ctx.Err()
}

// close ends kine; the database is closed when it returns.
func (d *datastore) close() {
	d.client.Close()
	d.cancel()
	d.group.Wait()
}

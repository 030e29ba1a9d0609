package supervise

import (
	"net"
	"os"
)

// notifySocket is taken out of the environment before any child starts: kubelet would report itself ready on it.
var notifySocket = func() string {
	socket := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	return socket
}()

// Ready tells systemd that the service is up. Outside of systemd it does nothing.
func Ready() error {
	if notifySocket == "" {
		return nil
	}
	connection, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = connection.Write([]byte("READY=1"))
	return err
}

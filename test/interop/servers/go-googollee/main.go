// A node on github.com/googollee/go-socket.io: arguments are a port and the node's name.
//
// It sets no SessionIDGenerator, so that its session ids are a counter that begins at 1 in every
// process.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	socketio "github.com/googollee/go-socket.io"
	"github.com/googollee/go-socket.io/engineio"
	"github.com/googollee/go-socket.io/parser"
)

const (
	// Not the second of the other servers: a poll brings one message, so that a stream holds pongs
	// up, and some clients give up when they have had none for one interval.
	pingInterval = 2 * time.Second
	pingTimeout  = 4 * time.Second
	// One in a hundred messages that cross an upgrade is lost (session.go, upgrading), so that
	// the first one waits until it is likely to be over.
	upgradeTime = 500 * time.Millisecond
)

func main() {
	port, name := os.Args[1], os.Args[2]
	server := socketio.NewServer(&engineio.Options{
		PingInterval: pingInterval,
		PingTimeout:  pingTimeout,
	})
	server.OnConnect("/", func(c socketio.Conn) error {
		report(event{Event: "connect", Id: name + "-" + c.ID()})
		// The connection's writer starts after this function: here, an emit would wait for ever.
		time.AfterFunc(upgradeTime, func() { c.Emit("welcome", name) })
		return nil
	})
	server.OnDisconnect("/", func(c socketio.Conn, reason string) {
		report(event{Event: "disconnect", Id: name + "-" + c.ID(), Reason: reason})
	})
	server.OnEvent("/", "echo", func(_ socketio.Conn, p payload) payload { return p })
	server.OnEvent("/", "whoami", func(socketio.Conn) string { return name })
	server.OnEvent("/", "clients", func(socketio.Conn) int { return server.Count() })
	server.OnEvent("/", "broadcast", func(_ socketio.Conn, text string) {
		server.BroadcastToNamespace("/", "broadcasted", text)
	})
	server.OnEvent("/", "stream", func(c socketio.Conn, count int) {
		for i := range count {
			c.Emit("n", i)
		}
	})
	server.OnEvent("/", "leave", func(c socketio.Conn) { _ = c.Close() })
	go func() { log.Fatal(server.Serve()) }()
	http.Handle("/socket.io/", server)

	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	go endWithInput()
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, nil))
}

// payload is what an echo carries: text and JSON stay as they came, binary is an attachment. The
// library finds attachments by looking for its Buffer in exported fields.
type payload struct {
	JSON   json.RawMessage
	Binary *parser.Buffer
}

func (p *payload) UnmarshalJSON(text []byte) error {
	var attachment struct {
		Placeholder bool `json:"_placeholder"`
	}
	if json.Unmarshal(text, &attachment) == nil && attachment.Placeholder {
		p.Binary = &parser.Buffer{}
		return json.Unmarshal(text, p.Binary)
	}
	p.JSON = append(json.RawMessage(nil), text...)
	return nil
}

func (p payload) MarshalJSON() ([]byte, error) {
	if p.Binary != nil {
		return json.Marshal(p.Binary)
	}
	return p.JSON, nil
}

type event struct {
	Event  string `json:"event"`
	Id     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

func report(e event) {
	line, _ := json.Marshal(e)
	fmt.Println(string(line))
}

func endWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// A node on github.com/zishang520/socket.io: arguments are a port and the node's name.
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

	"github.com/zishang520/socket.io/servers/socket/v3"
)

const (
	pingInterval    = time.Second
	pingTimeout     = 4 * time.Second
	maxMessageBytes = 2 << 20
)

func main() {
	port, name := os.Args[1], os.Args[2]

	options := socket.DefaultServerOptions()
	options.SetPingInterval(pingInterval)
	options.SetPingTimeout(pingTimeout)
	options.SetMaxHttpBufferSize(maxMessageBytes)
	options.SetAllowEIO3(true)

	server := socket.NewServer(nil, nil)
	if err := server.On("connection", func(clients ...any) {
		welcome(server, clients[0].(*socket.Socket), name)
	}); err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket.io/", server.ServeHandler(options))

	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	go endWithInput()
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, nil))
}

func welcome(server *socket.Server, client *socket.Socket, name string) {
	id := string(client.Id())
	report(event{Event: "connect", Id: id})
	on(client, "disconnect", func(args []any, _ socket.Ack) {
		report(event{Event: "disconnect", Id: id, Reason: fmt.Sprint(args[0])})
	})
	on(client, "echo", func(args []any, ack socket.Ack) { ack(args, nil) })
	on(client, "whoami", func(_ []any, ack socket.Ack) { ack([]any{name}, nil) })
	on(client, "clients", func(_ []any, ack socket.Ack) {
		ack([]any{server.Engine().ClientsCount()}, nil)
	})
	on(client, "broadcast", func(args []any, _ socket.Ack) { server.Emit("broadcasted", args...) })
	on(client, "stream", func(args []any, _ socket.Ack) {
		for i := range int(args[0].(float64)) {
			_ = client.Emit("n", i)
		}
	})
	on(client, "leave", func([]any, socket.Ack) { client.Disconnect(true) })
	_ = client.Emit("welcome", name)
}

// on hands a listener the payloads and, if the client wants one, the acknowledgement.
func on(client *socket.Socket, name string, listener func(args []any, ack socket.Ack)) {
	if err := client.On(name, func(args ...any) {
		if last := len(args) - 1; last >= 0 {
			if ack, wanted := args[last].(socket.Ack); wanted {
				listener(args[:last], ack)
				return
			}
		}
		listener(args, nil)
	}); err != nil {
		log.Fatal(err)
	}
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

// A client on github.com/zishang520/socket.io: one JSON object a line in, one a line out, as
// contract.ts says.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/zishang520/socket.io/clients/engine/v3"
	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

type request struct {
	Id         int             `json:"id"`
	Do         string          `json:"do"`
	Url        string          `json:"url"`
	Transports []string        `json:"transports"`
	Count      int             `json:"count"`
	Text       *string         `json:"text"`
	Base64     *string         `json:"base64"`
	Json       json.RawMessage `json:"json"`
}

func main() {
	client := &client{}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() {
			ok, err := client.do(asked)
			if err != nil {
				say(map[string]any{"id": asked.Id, "error": err.Error()})
				return
			}
			say(map[string]any{"id": asked.Id, "ok": ok})
		}()
	}
}

var output sync.Mutex

func say(what any) {
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(what)
}

type client struct {
	socket *socket.Socket
	closed chan struct{}
}

func (c *client) do(asked request) (any, error) {
	switch asked.Do {
	case "connect":
		return c.connect(asked.Url, asked.Transports)
	case "transport":
		return c.socket.Io().Engine().Transport().Name(), nil
	case "echo":
		return c.echo(asked)
	case "whoami":
		return c.ask("whoami")
	case "stream":
		return c.stream(asked.Count)
	case "leave":
		_ = c.socket.Emit("leave")
		<-c.closed
		return nil, nil
	case "disconnect":
		c.socket.Disconnect()
		return nil, nil
	}
	return nil, fmt.Errorf("cannot %q", asked.Do)
}

func (c *client) connect(url string, names []string) (any, error) {
	options := socket.DefaultOptions()
	options.SetReconnection(false)
	options.SetTransports(inOrder(names))
	manager := socket.NewManager(url, options)
	c.socket = manager.Socket("/", nil)
	closed := make(chan struct{})
	c.closed = closed

	node := make(chan any, 1)
	failed := make(chan error, 2)
	fail := func(reason ...any) { failed <- fmt.Errorf("%v", reason) }
	_ = c.socket.Once("welcome", func(args ...any) { node <- args[0] })
	_ = c.socket.Once("connect_error", fail)
	_ = c.socket.Once("disconnect", func(reason ...any) {
		fail(reason...)
		close(closed)
		say(map[string]any{"event": "closed"})
	})
	select {
	case name := <-node:
		return map[string]any{"node": name}, nil
	case err := <-failed:
		return nil, err
	}
}

func (c *client) echo(asked request) (any, error) {
	payload, err := read(asked)
	if err != nil {
		return nil, err
	}
	echoed, err := c.ask("echo", payload)
	if err != nil {
		return nil, err
	}
	switch echoed := echoed.(type) {
	case io.Reader:
		bytes, err := io.ReadAll(echoed)
		return map[string]any{"base64": base64.StdEncoding.EncodeToString(bytes)}, err
	case string:
		return map[string]any{"text": echoed}, nil
	}
	return map[string]any{"json": echoed}, nil
}

func read(asked request) (any, error) {
	switch {
	case asked.Base64 != nil:
		return base64.StdEncoding.DecodeString(*asked.Base64)
	case asked.Text != nil:
		return *asked.Text, nil
	}
	var payload any
	return payload, json.Unmarshal(asked.Json, &payload)
}

func (c *client) ask(event string, args ...any) (any, error) {
	type answer struct {
		args []any
		err  error
	}
	answered := make(chan answer, 1)
	c.socket.EmitWithAck(event, args...)(func(args []any, err error) {
		answered <- answer{args, err}
	})
	got := <-answered
	if got.err == nil && len(got.args) != 1 {
		return nil, fmt.Errorf("acknowledged with %d values", len(got.args))
	}
	if got.err != nil {
		return nil, got.err
	}
	return got.args[0], nil
}

func (c *client) stream(count int) (any, error) {
	numbers := make(chan any, count)
	listen := func(args ...any) { numbers <- args[0] }
	_ = c.socket.On("n", listen)
	defer c.socket.RemoveListener("n", listen)
	_ = c.socket.Emit("stream", count)
	arrived := make([]any, 0, count)
	for len(arrived) < count {
		select {
		case number := <-numbers:
			arrived = append(arrived, number)
		case <-c.closed:
			return nil, errors.New("the connection ended")
		}
	}
	return arrived, nil
}

// inOrder makes the transports that are tried in this order. The library keeps them in a set, so
// that chance says which is first; these take their names in the order in which they are asked.
func inOrder(names []string) *types.Set[engine.TransportCtor] {
	left := append([]string(nil), names...)
	set := types.NewSet[engine.TransportCtor]()
	for range names {
		set.Add(&inTurn{left: &left})
	}
	return set
}

type inTurn struct {
	left *[]string
	name string
}

func (t *inTurn) Name() string {
	if t.name == "" {
		t.name, *t.left = (*t.left)[0], (*t.left)[1:]
	}
	return t.name
}

func (t *inTurn) New(socket engine.Socket, options engine.SocketOptionsInterface) engine.Transport {
	if t.name == "polling" {
		return engine.NewPolling(socket, options)
	}
	return engine.NewWebSocket(socket, options)
}

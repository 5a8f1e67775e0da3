package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// Here TICKWIRE_URL is a node of the tests, that has one symbol; that of `tickwire up` is
// ws://127.0.0.1:8080.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	c := client.New(client.Config{URL: os.Getenv("TICKWIRE_URL")})
	c.OnUpdate = func(u *client.Update) {
		fmt.Printf("%s %s, %d not sent\n", u.Symbol, codec.AppendText(nil, &u.Quote, codec.Bid), u.Conflated)
		if u.Conflated > 0 {
			stop()
		}
	}
	c.Subscribe(client.Terms{Rate: 5, Fields: []string{"bid"}}, "sim:*")
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		fmt.Println(err)
	}
	// Output:
	// sim:ACORN-USD 831.92, 0 not sent
	// sim:ACORN-USD 831.95, 2 not sent
}

// What becomes of a subscription, and of the connection, comes as events.
func ExampleClient_events() {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	c := client.New(client.Config{URL: os.Getenv("TICKWIRE_URL")})
	c.OnEvent = func(e client.Event) {
		fmt.Println(strings.TrimSpace(string(e.Kind) + " " + e.Symbol))
		why := (*codec.Error)(nil)
		if errors.As(e.Err, &why) && why.Code == codec.CodeUnknownSymbol {
			fmt.Println("asked for again:", e.After > 0)
			stop()
		}
	}
	c.Subscribe(client.Terms{}, "sim:ACORN-USD", "sim:NOPE-USD")
	c.Run(ctx)
	// Output:
	// live
	// subscribed sim:ACORN-USD
	// error sim:NOPE-USD
	// asked for again: true
}

// A function gets a token to begin with, and the next ones in time, on the same connection.
func ExampleConfig_renew() {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	c := client.New(client.Config{
		URL: os.Getenv("TICKWIRE_URL"),
		Renew: func(context.Context) (string, error) {
			fmt.Println("a token is needed")
			return "header.claims.signature", nil // as your issuer gives it
		},
	})
	c.OnUpdate = func(*client.Update) { stop() }
	c.Subscribe(client.Terms{}, "sim:ACORN-USD")
	c.Run(ctx)
	// Output:
	// a token is needed
}

// The merged quote of a symbol is there at any time, from any goroutine, and stays through a
// lost connection.
func ExampleClient_Quote() {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	c := client.New(client.Config{URL: os.Getenv("TICKWIRE_URL")})
	c.Subscribe(client.Terms{}, "sim:ACORN-USD")
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	for {
		if q, _, ok := c.Quote("sim:ACORN-USD"); ok {
			fmt.Printf("%s, as a float %.2f\n", codec.AppendText(nil, &q, codec.Ask), q.Float(codec.Ask))
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-ended
	// Output:
	// 832.16, as a float 832.16
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/centrifugal/centrifuge"
)

// Centrifuge as its README does, with its Redis broker: its own protocol, hub, and
// queues; who has more than ClientQueueMaxSize waiting, 1 MiB, is disconnected.
func centrifugePeer(ctx context.Context, n node) error {
	c, err := centrifugeNode(n.redis)
	if err != nil {
		return err
	}
	c.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	c.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, cb centrifuge.SubscribeCallback) {
			cb(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := c.Run(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(c, centrifuge.WebsocketConfig{MessageSizeLimit: 1 << 20}))
	return listen(ctx, n.listen, mux)
}

func centrifugeNode(url string) (*centrifuge.Node, error) {
	n, err := centrifuge.New(centrifuge.Config{ClientChannelLimit: symbolsMax})
	if err != nil {
		return nil, err
	}
	shard, err := centrifuge.NewRedisShard(n, centrifuge.RedisShardConfig{Address: url})
	if err != nil {
		return nil, fmt.Errorf("redis %s: %w", url, err)
	}
	broker, err := centrifuge.NewRedisBroker(n, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	if err != nil {
		return nil, err
	}
	n.SetBroker(broker)
	return n, nil
}

// centrifugeLanes is how many goroutines publish: its client pipelines what comes from
// several at once. A symbol keeps to its lane, and so keeps its order.
const centrifugeLanes = 32

// centrifugePublisher publishes as a node of the cluster that nobody connects to.
func centrifugePublisher(_ context.Context, url string) (send func([]update) error, err error) {
	n, err := centrifugeNode(url)
	if err != nil {
		return nil, err
	}
	if err := n.Run(); err != nil {
		return nil, err
	}
	var (
		lanes [centrifugeLanes][]update
		errs  [centrifugeLanes]error
		under sync.WaitGroup
	)
	return func(burst []update) error {
		for i := range lanes {
			lanes[i] = lanes[i][:0]
		}
		for _, u := range burst {
			i := u.symbol % centrifugeLanes
			lanes[i] = append(lanes[i], u)
		}
		for i := range lanes {
			if len(lanes[i]) == 0 {
				continue
			}
			under.Go(func() {
				for _, u := range lanes[i] {
					if _, err := n.Publish(u.channel(), u.append(nil)); err != nil {
						errs[i] = err
					}
				}
			})
		}
		under.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

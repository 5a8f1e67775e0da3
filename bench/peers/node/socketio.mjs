// Socket.IO with its Redis adapter, as its documentation advises: rooms, WebSocket only,
// no compression, the msgpack parser for binary data, bufferutil, and the first request
// of each socket let go, to save memory. It bounds nothing that waits for a slow reader;
// who answers no ping is closed.
import { parseArgs } from "node:util";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import parser from "socket.io-msgpack-parser";

const { listen, redis } = parseArgs({ options: { listen: { type: "string" }, redis: { type: "string" } } }).values;
const [host, port] = listen.split(":");

const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(publisher, subscriber),
  parser,
  transports: ["websocket"],
  perMessageDeflate: false,
});
io.engine.on("connection", (socket) => {
  socket.request = null;
});
io.on("connection", (socket) => {
  socket.on("subscribe", (symbols) => socket.join(symbols));
});
http.listen(Number(port), host);

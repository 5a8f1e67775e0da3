// ws as its README broadcasts: send to every open socket, here of those who want the
// symbol. A reader with more than 1 MiB waiting is terminated.
import { parseArgs } from "node:util";
import { createClient } from "redis";
import { WebSocket, WebSocketServer } from "ws";

const { listen, redis } = parseArgs({ options: { listen: { type: "string" }, redis: { type: "string" } } }).values;
const [host, port] = listen.split(":");
const waitingMax = 1 << 20;

const upstream = createClient({ url: redis });
await upstream.connect();

const bySymbol = new Map(); // symbol -> Set of sockets

function fanOut(update, symbol) {
  for (const socket of bySymbol.get(symbol.toString()) ?? []) {
    if (socket.bufferedAmount > waitingMax) socket.terminate();
    else if (socket.readyState === WebSocket.OPEN) socket.send(update);
  }
}

const server = new WebSocketServer({ host, port: Number(port), perMessageDeflate: false });
server.on("connection", (socket) => {
  const mine = [];
  socket.on("error", () => {});
  socket.on("message", (message) => {
    for (const symbol of JSON.parse(message).subscribe) {
      mine.push(symbol);
      if (!bySymbol.has(symbol)) {
        bySymbol.set(symbol, new Set());
        upstream.subscribe(symbol, fanOut, true);
      }
      bySymbol.get(symbol).add(socket);
    }
  });
  socket.on("close", () => {
    for (const symbol of mine) {
      const sockets = bySymbol.get(symbol);
      if (sockets?.delete(socket) && sockets.size === 0) {
        bySymbol.delete(symbol);
        upstream.unsubscribe(symbol, fanOut, true);
      }
    }
  });
});

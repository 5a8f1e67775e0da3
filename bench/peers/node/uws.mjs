// uWebSockets.js as its examples do: topics of its own, published natively. A reader
// with more than 1 MiB waiting is closed.
import { parseArgs } from "node:util";
import uWS from "@trufflesuite/uws-js-unofficial";
import { createClient } from "redis";

const { listen, redis } = parseArgs({ options: { listen: { type: "string" }, redis: { type: "string" } } }).values;
const [host, port] = listen.split(":");

if (!uWS.getParts) throw new Error("uws: no binary for this Node.js; the fallback is not uWebSockets");

const upstream = createClient({ url: redis });
await upstream.connect();

const wanted = new Map(); // symbol -> how many want it
const app = uWS.App();

function fanOut(update, symbol) {
  app.publish(symbol.toString(), update, true, false);
}

app.ws("/*", {
  compression: uWS.DISABLED,
  maxPayloadLength: 512 * 1024,
  maxBackpressure: 1024 * 1024,
  closeOnBackpressureLimit: true,
  idleTimeout: 120,
  open: (socket) => {
    socket.mine = [];
  },
  message: (socket, message) => {
    for (const symbol of JSON.parse(Buffer.from(message)).subscribe) {
      socket.mine.push(symbol);
      socket.subscribe(symbol);
      const n = wanted.get(symbol) ?? 0;
      wanted.set(symbol, n + 1);
      if (n === 0) upstream.subscribe(symbol, fanOut, true);
    }
  },
  close: (socket) => {
    for (const symbol of socket.mine) {
      const n = wanted.get(symbol) - 1;
      wanted.set(symbol, n);
      if (n === 0) upstream.unsubscribe(symbol, fanOut, true);
    }
  },
});
app.listen(host, Number(port), (socket) => {
  if (!socket) process.exit(1);
});

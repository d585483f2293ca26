/** SharedWorker with one stream for all tabs of the browser, because with HTTP/1.1 browsers allow only six connections to a server. */
import { Hub } from "./hub.ts";
import type { FromPage } from "./messages.ts";
import { openStream } from "./open.ts";

const hub = new Hub(openStream);
const scope = self as unknown as { onconnect: (event: MessageEvent) => void };

scope.onconnect = (event) => {
  const port = event.ports[0] as MessagePort;
  const take = hub.attach((message) => port.postMessage(message));
  port.onmessage = ({ data }: MessageEvent<FromPage>) => take(data);
};

// Signs each order that it tells others of: GET / on port 3000.
import { createServer } from 'node:http';
import { generateMac, verifyMac } from './hmacd.ts';

let orders = 0;

createServer((_, response) => {
  const message = JSON.stringify({ order: ++orders });
  generateMac(message).then(
    (mac) => response.end(JSON.stringify({ message, mac })),
    (error: Error) => response.writeHead(502).end(error.message),
  );
}).listen(3_000);

// It may sign, and not more.
await verifyMac('an order', 'AAAA').catch((error: Error) =>
  console.log(`orders is not allowed to verify: ${error.message}`),
);

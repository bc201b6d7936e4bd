// Fetches an order a second, and takes it only if it is what orders signed.
import { setTimeout } from 'node:timers/promises';
import { generateMac, verifyMac } from './hmacd.ts';

// It may verify, and not more.
await generateMac('an order').catch((error: Error) => console.log(`billing is not allowed to sign: ${error.message}`));

for (;;) {
  try {
    const response = await fetch(process.env['ORDERS_URL']);
    const { message, mac } = (await response.json()) as { message: string; mac: string };
    await verifyMac(message, mac);
    console.log(`billing takes ${message}`);
    await verifyMac(message.replace('order', 'refund'), mac).catch((error: Error) =>
      console.log(`billing does not take what was changed on the way: ${error.message}`),
    );
  } catch (error) {
    console.log(`billing tries again: ${(error as Error).message}`);
  }
  await setTimeout(1_000);
}

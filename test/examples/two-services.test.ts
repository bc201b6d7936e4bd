import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startService } from '../support/running-service.ts';

const folder = new URL('../../examples/two-services/', import.meta.url);
const pathOf = (name: string): string => fileURLToPath(new URL(name, folder));

interface Compose {
  readonly services: Readonly<Record<'orders' | 'billing', { readonly environment: { readonly HMACD_TOKEN: string } }>>;
}
const { services } = parse(readFileSync(pathOf('compose.yaml'), 'utf8')) as Compose;

/** Asks for an operation as a service of the example would; answers the HTTP status and what came. */
async function ask(port: number, service: 'orders' | 'billing', operation: string, request: object) {
  const response = await fetch(`http://127.0.0.1:${port}/hmacd.v1.MacService/${operation}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${services[service].environment.HMACD_TOKEN}`,
    },
    body: JSON.stringify({
      keyId: 'alias/orders',
      macAlgorithm: 'MAC_ALGORITHM_HMAC_SHA_256',
      message: Buffer.from('an order').toString('base64'),
      ...request,
    }),
  });
  return { status: response.status, answer: (await response.json()) as { mac: string; macValid: boolean } };
}

describe('the example of two services', () => {
  it('lets orders sign and billing verify, and neither do the other', async () => {
    await using running = await startService({
      PRINCIPALS_FILE: pathOf('etc/principals.yaml'),
      SEED_FILE: pathOf('etc/seed.yaml'),
    });
    const { httpPort } = running;
    const signed = await ask(httpPort, 'orders', 'GenerateMac', {});
    expect(signed.status).toBe(200);
    const { mac } = signed.answer;
    expect(await ask(httpPort, 'billing', 'VerifyMac', { mac })).toMatchObject({
      status: 200,
      answer: { macValid: true },
    });
    expect(await ask(httpPort, 'billing', 'GenerateMac', {})).toMatchObject({ status: 403 });
    expect(await ask(httpPort, 'orders', 'VerifyMac', { mac })).toMatchObject({ status: 403 });
  });
});

// The two calls that both services know, as JSON over Connect.

const { HMACD_URL, HMACD_TOKEN } = process.env;

export async function generateMac(message: string): Promise<string> {
  return (await call('GenerateMac', { message: base64(message) })).mac;
}

/** @throws Error with the exception's reason: KMS_INVALID_MAC when the MAC is not the message's */
export async function verifyMac(message: string, mac: string): Promise<void> {
  await call('VerifyMac', { message: base64(message), mac });
}

async function call(operation: string, request: object): Promise<{ mac: string }> {
  const response = await fetch(`${HMACD_URL}/hmacd.v1.MacService/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${HMACD_TOKEN}` },
    body: JSON.stringify({ keyId: 'alias/orders', macAlgorithm: 'MAC_ALGORITHM_HMAC_SHA_256', ...request }),
  });
  const answer = (await response.json()) as {
    mac: string;
    details?: { type: string; debug?: { reason?: string } }[];
    code?: string;
  };
  if (response.ok) return answer;
  throw new Error(`${operation}: ${answer.details?.[0]?.debug?.reason ?? answer.code}`);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

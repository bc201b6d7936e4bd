import { BlockList, isIP, SocketAddress } from 'node:net';
import type { Test } from './wildcard.ts';

// What texts of policies and requests mean. Each reader answers NaN or `undefined` for a text that means nothing.

/** A decimal number. */
export function numberOf(text: string): number {
  return /^[+-]?\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

const DATE = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;
/** Four digits could be a year as well, which ISO 8601 allows alone. */
const EPOCH_SECONDS = /^\d{5,}(?:\.\d+)?$/;

/**
 * The milliseconds since 1970 of an ISO 8601 date, or of seconds since 1970. A date without a time is its midnight in
 * UTC; a time must have a time zone.
 */
export function dateOf(text: string): number {
  if (EPOCH_SECONDS.test(text)) return Number(text) * 1000;
  const day = DATE.exec(text)?.[1];
  if (day === undefined) return Number.NaN;
  // Of the 30th of February, JavaScript makes a day of March.
  const midnight = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || !midnight.toISOString().startsWith(day)) return Number.NaN;
  return Date.parse(text);
}

/** A test for IP addresses in any of some ranges; an IPv4 address written as an IPv6 one is the IPv4 address. */
export function addressesIn(ranges: readonly AddressRange[]): Test {
  // One list of both would find IPv4 addresses in IPv6 ranges such as ::/0.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const { address, prefix, family } of ranges) lists[family].addSubnet(address, prefix, family);
  // Mostly the next call comes from where the last one came from.
  let last: string | undefined;
  let wasIn = false;
  return (value) => {
    if (value === last) return wasIn;
    const address = addressOf(value);
    wasIn = address !== undefined && lists[address.family].check(address.address, address.family);
    last = value;
    return wasIn;
  };
}

/** The addresses that share the first bits of one. */
export interface AddressRange extends Address {
  /** How many bits they share. */
  readonly prefix: number;
}

interface Address {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
}

/** The range of a CIDR block such as `203.0.113.0/24`, or of one address. */
export function addressRangeOf(text: string): AddressRange | undefined {
  const [, written = '', prefixText] = /^([\da-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = addressOf(written);
  if (address === undefined) return undefined;
  const bits = address.family === 'ipv4' ? 32 : 128;
  // The first 96 bits of an IPv4 address that was written as an IPv6 one say so.
  const mapped = address.family === 'ipv4' && written.includes(':') ? 96 : 0;
  const prefix = prefixText === undefined ? bits : Number(prefixText) - mapped;
  return prefix >= 0 && prefix <= bits ? { ...address, prefix } : undefined;
}

/** How sockets write an IPv4 address as an IPv6 one. */
const MAPPED = '::ffff:';

function addressOf(text: string): Address | undefined {
  // The zone of a link-local address is no part of it.
  const [address = ''] = text.split('%', 1);
  const family = isIP(address);
  if (family === 0) return undefined;
  if (family === 4) return { address, family: 'ipv4' };
  const written = address.includes('.') && address.startsWith(MAPPED) ? address : canonical(address);
  const ipv4 = written.startsWith(MAPPED) ? written.slice(MAPPED.length) : '';
  return isIP(ipv4) === 4 ? { address: ipv4, family: 'ipv4' } : { address, family: 'ipv6' };
}

function canonical(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** Where to listen. */
export interface Address {
  /** A name or IP address, without brackets. */
  readonly host: string;
  /** 0 for one that is free. */
  readonly port: number;
}

/** Something that takes connections. */
export interface Listener {
  /**
   * Takes connections from now on.
   *
   * @returns the port
   * @throws Error with the system's code when it cannot
   */
  listen(address: Address): Promise<number>;
  /** Takes no more connections or calls, and ends when the calls under way have ended. */
  drain(): Promise<void>;
  /** Breaks off what is under way. */
  close(): void;
}

/** An address as it stands in a URL: `[::1]:8080`. */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

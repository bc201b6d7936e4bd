/**
 * The bytes of a body, as they come in chunks. Chunks take as much memory as they are long, at most twice: kept one by one,
 * those of a byte would take hundreds of times that.
 */
export class GatheredBytes {
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  /** How many bytes have come. */
  get length(): number {
    return this.#length;
  }

  /** What has come; it does not change when more comes. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    // Most bodies come in one chunk, which need not be copied.
    if (this.#length === 0) this.#buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    else {
      if (length > this.#buffer.length) {
        const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length));
        this.#buffer.copy(grown, 0, 0, this.#length);
        this.#buffer = grown;
      }
      this.#buffer.set(chunk, this.#length);
    }
    this.#length = length;
  }
}
